"""One module a loader, under its name in study files with underscores: a file put here is a loader, and nothing else names it."""
