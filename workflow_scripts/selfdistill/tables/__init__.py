"""Every table of the pipeline: its columns by stage, the words that stand in it, reading, writing, streaming."""
