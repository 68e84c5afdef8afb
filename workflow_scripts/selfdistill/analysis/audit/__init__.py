"""A person's judgement of a sample of answers: which are drawn, the sheet that is filled, what it says of the effects."""
