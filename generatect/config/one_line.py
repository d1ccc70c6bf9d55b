"""Which errors are the user's to mend, and how they read on one line."""

import errno
import re

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from generatect.config.lacks import what_is_lacking
from generatect.errors import InputError

TODO = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room within your quota, or choose another place",
    errno.EFBIG: "the system allows no file of this size there (ulimit -f); choose another place",
}
"""What to do about an error of the system, by its number."""
USER_ERRORS = (InputError, HydraException, OmegaConfBaseException, OSError)


def is_user_error(error: BaseException) -> bool:
    """Whether the user's input caused the error. Lightning's class is known by name: importing it takes seconds."""
    return (
        isinstance(error, USER_ERRORS)
        or what_is_lacking(error) is not None
        or any(
            kind.__module__.startswith("lightning.") and kind.__name__ == "MisconfigurationException"
            for kind in type(error).__mro__
        )
    )


def one_line(error: BaseException) -> str:
    """The message of an error on one line; one that is ours to mend is named by its type as well."""
    lacking = what_is_lacking(error)
    if lacking is not None:
        return lacking
    if isinstance(error, OSError) and error.filename is not None:
        reason = error.strerror or " ".join(str(error).split())
        return f"{error.filename}: {reason}; {TODO.get(error.errno or 0, 'choose a path that can be read and written')}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and re.match(r"Caught \w+ in DataLoader worker", lines[0]):  # the trace of another process
        return lines[-1].partition(": ")[2] or lines[-1]
    text = " ".join(lines)
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause).splitlines()[:1]:
        text = f"{text.rstrip('.')}: {str(cause).splitlines()[0]}"
    if not is_user_error(error):
        return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    return text or type(error).__name__
