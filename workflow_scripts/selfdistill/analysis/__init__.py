"""Statistics and the tidy tables that the report reads."""
