"""A folder is worked through to its end: what could not be done is listed there, and the exit code tells."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from generatect.errors import InputError


class NotDone:
    """Keeps why single items of a folder could not be done, while the others are."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.closed: list[InputError] = []
        """Folders that cannot be listed; see `generatect.ct.volume_files.files_below`."""

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Keeps the error of a block instead of raising it."""
        try:
            yield
        except InputError as error:
            self.reasons.append(str(error))

    def tell(self, num_items: int, what: str, output: Path) -> None:
        """Lists what was kept, a line each.

        Args:
            num_items: of all, done or not.
            what: they are, such as "volumes".
            output: where the results of the others are.

        Raises:
            InputError: something was kept; of a single item the error itself.
        """
        reasons = [*map(str, self.closed), *self.reasons]
        if not reasons:
            return
        if num_items == len(reasons) == 1:
            raise InputError(reasons[0])
        print("not done:", *reasons, sep="\n  ")
        num_bad = f"{len(self.reasons)} of {num_items} {what}" if self.reasons else f"{len(reasons)} folders"
        rest = f"the others are done, in {output}" if len(self.reasons) < num_items else "none is done"
        raise InputError(f"{num_bad} could not be done, each listed above; {rest}; first {reasons[0]}")
