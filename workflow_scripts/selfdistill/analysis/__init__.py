"""From tables of answers and gradients to the tidy tables that the report reads."""
