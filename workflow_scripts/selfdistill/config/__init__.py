"""The study file: its types, its cross-checks, its loading."""
