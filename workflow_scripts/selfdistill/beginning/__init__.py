"""A study begun: from a person's own problems and model to a commented study file."""
