"""A finished study as others get it: one archive that runs again, model folders and samples with cards, and no secret in any."""
