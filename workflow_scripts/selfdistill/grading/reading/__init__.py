"""Our own reader of answers: what one mathematical object a text writes, and when two of them are the same."""
