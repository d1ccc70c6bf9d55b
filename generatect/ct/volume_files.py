"""Which files of a folder are volumes, and what a volume is called: the same for every command."""

import os
import unicodedata
from pathlib import Path

from generatect.errors import InputError

ENDINGS, ARRAY = (".nii.gz", ".nii"), ".npz"
MAX_FILES, MAX_SLICES = 5_000_000, 200_000
"""Files that are looked at in an archive, and in the folder of one DICOM series."""


def is_volume_file(name: str) -> bool:
    """Whether a file is a NIfTI by its name: in capitals, too, and not hidden, as the `._scan.nii` of macOS are."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def without_ending(name: str) -> str:
    """A name, or the last part of a path, without its `.nii` or `.nii.gz`."""
    lower = name.lower()
    return name[: -len(next((ending for ending in ENDINGS if lower.endswith(ending)), "")) or None]


def volume_name(name: str) -> str:
    """What a volume is called in tables and results: its name without ending, as text that any file can hold.

    Letters are composed (NFC), as tables have them and macOS does not; bytes that are no UTF-8 are spelled by escapes.
    An array may be called `a.npz` or, as NumPy names what was to be `a.nii.gz`, `a.nii.gz.npz`.
    """
    return (
        unicodedata.normalize("NFC", without_ending(name.removesuffix(ARRAY)))
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def files_below(folder: Path, max_files: int = MAX_FILES, closed: list[InputError] | None = None) -> list[Path]:
    """Regular files in a folder and its subfolders, by path.

    Linked folders are entered, too, after those that lie there themselves, and none twice: a link to a folder above, or
    to one that has been seen, leads to nothing new.

    Args:
        folder: where to begin.
        max_files: refuse more than this.
        closed: takes the subfolders that cannot be listed; None refuses them.

    Raises:
        InputError: no such folder, one that cannot be listed, or too many files.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one to search")
    found, entered, waiting = list[Path](), set[tuple[int, int]](), [folder]

    def refuse(error: OSError) -> None:
        refusal = InputError(f"{error.filename}: cannot be listed ({error.strerror}); mend its permissions")
        if closed is None:
            raise refusal from error
        closed.append(refusal)

    while waiting:
        for parent, folders, names in os.walk(waiting.pop(0), onerror=refuse):
            here = os.stat(parent)
            if (here.st_dev, here.st_ino) in entered:
                folders.clear()
                continue
            entered.add((here.st_dev, here.st_ino))
            folders.sort()
            waiting += [link for name in folders if (link := Path(parent, name)).is_symlink()]
            found += [path for path in (Path(parent, name) for name in names) if path.is_file()]
            if len(found) > max_files:
                raise InputError(f"{folder}: more than {max_files} files; name a folder that holds less")
    return sorted(found)
