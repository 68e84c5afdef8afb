"""What a study costs and what it can find, before anything runs."""
