"""The answers that the report shows as examples."""
