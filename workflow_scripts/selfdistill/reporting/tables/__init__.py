"""Every table of the report's page."""
