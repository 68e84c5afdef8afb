"""From graded samples to what a model is shown: the filter, its audit, rows, targets."""
