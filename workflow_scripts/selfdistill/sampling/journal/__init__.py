"""Every finished sample on disk at once, never lost and never doubled."""
