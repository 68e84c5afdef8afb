"""Words of doubt in a text: which, where, and whether in the thought or after it."""
