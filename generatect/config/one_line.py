"""Which errors are the user's to mend, and how they read on one line."""

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from generatect.errors import InputError

USER_ERRORS = (InputError, HydraException, OmegaConfBaseException, OSError)


def is_user_error(error: BaseException) -> bool:
    """Whether the user's input caused the error. Lightning's class is known by name: importing it takes seconds."""
    return isinstance(error, USER_ERRORS) or any(
        kind.__module__.startswith("lightning.") and kind.__name__ == "MisconfigurationException"
        for kind in type(error).__mro__
    )


def one_line(error: BaseException) -> str:
    """The message of an error on one line; one that is ours to mend is named by its type as well."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; choose a path that can be read and written"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught InputError in DataLoader worker"):  # the trace of another process
        return lines[-1].partition("InputError: ")[2]
    text = " ".join(lines)
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause).splitlines()[:1]:
        text = f"{text.rstrip('.')}: {str(cause).splitlines()[0]}"
    if not is_user_error(error):
        return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    return text or type(error).__name__
