"""The volumes of an archive that keeps one folder for each patient and one in it for each scan."""

import os
from collections.abc import Iterator

from generatect.errors import InputError

ENDING = ".nii.gz"


def list_volumes(root: str | os.PathLike[str]) -> Iterator[tuple[str, str, str]]:
    """Folder of the patient, folder of the scan and file of every `.nii.gz` that lies so deep, in the order of names.

    Each folder is listed once and nothing is asked about a single file, which on a network drive takes longer than all
    the rest. Hidden files and folders, such as those that macOS leaves beside every file, are passed over.

    Args:
        root: folder of the patients' folders.

    Raises:
        InputError: a folder cannot be listed.
    """
    for patient in _folders(root):
        for scan in _folders(os.path.join(root, patient)):
            for file in _names(os.path.join(root, patient, scan)):
                if file.endswith(ENDING):
                    yield patient, scan, file


def _folders(folder: str | os.PathLike[str]) -> list[str]:
    return _names(folder, only_folders=True)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _names(folder: str | os.PathLike[str], only_folders: bool = False) -> list[str]:
    """Sorted names in a folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and (not only_folders or _is_folder(entry))
            )
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); expected a folder that can be read"
        ) from error
