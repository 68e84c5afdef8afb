"""Pure statistics on numpy arrays: no tables, no files."""
