"""Advice that names a setting, in the words of the command that prints it.

Who reads a scan knows its own arguments and no command line: it says `assume_axes=LPS`. A training calls that
`data.assume_axes=LPS`.
"""

import re
from collections.abc import Collection

ARGUMENTS = ("hu_policy", "assume_axes")
"""Arguments of readers that their messages advise."""
_ADVISED = re.compile(rf"(?<![\w./=])({'|'.join(ARGUMENTS)})(?==\w)")


def as_settings(message: str, keys: Collection[str]) -> str:
    """Writes the arguments that a message advises as the command's settings, where these lie deeper down.

    Args:
        message: one line.
        keys: the command's dotted keys.
    """

    def setting(found: re.Match[str]) -> str:
        ending = [key for key in keys if key.endswith(f".{found[1]}")]
        shortest = min(ending, key=len, default=found[1])  # data.hu_policy is what data.pairs.hu_policy is made from
        return found[1] if found[1] in keys else shortest

    return _ADVISED.sub(setting, message)
