"""A model's folder: looked at before it is used, its digest, and where it comes from."""
