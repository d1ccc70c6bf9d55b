"""The one exception that a user's input may cause."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file or key, the value, what was expected and what to do. Entry points print
    it without a stack trace; anything else that escapes is a bug and keeps its trace.
    """
