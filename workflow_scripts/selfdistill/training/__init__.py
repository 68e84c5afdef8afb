"""From graded completions to datasets, and from datasets to checkpoints with their instruments."""
