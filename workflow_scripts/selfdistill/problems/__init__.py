"""From raw sources to one table of problems with splits, ranks and budgets."""
