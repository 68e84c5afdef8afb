"""From a completion to a finish class and a verdict."""
