"""The one kind of error that is a user's to mend: a sentence that says what is wrong, where, and what to do."""


class UserError(Exception):
    """A mistake in the study, the data or the machine's set-up. Shown as its sentence, never as a traceback."""
