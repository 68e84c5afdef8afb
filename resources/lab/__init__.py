"""The lab: a small world whose truth is known. Its problems, the grammar of its reasoning, and the model that learnt it."""
