"""Folders that the user opened for browsing: nothing outside of them is listed or read."""

import os
from dataclasses import dataclass
from pathlib import Path

from generatect.ct.volume_files import is_volume_file
from generatect.errors import InputError

MAX_LISTED = 2000
DICOM_MAGIC, DICOM_MAGIC_AT = b"DICM", 128


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folders: names of folders.
        volumes: names of NIfTI files, and of folders that hold a DICOM series.
        is_cut: there is more than is listed.
    """

    folders: list[str]
    volumes: list[str]
    is_cut: bool


class Folders:
    """The opened folders.

    Places in them are written "NUMBER/PATH", with the number of the opened folder and a path relative to it.

    Args:
        roots: the folders.

    Raises:
        InputError: one of them is no folder.
    """

    def __init__(self, roots: list[str]) -> None:
        self.roots = [Path(root).expanduser() for root in roots]
        for root in self.roots:
            if not root.is_dir():
                raise InputError(f"browse={root}: not a folder; name one that holds NIfTI files or DICOM series")

    def resolve(self, place: str) -> Path:
        """The path of a place.

        Raises:
            InputError: there is no such place, or it lies outside the opened folder, links followed.
        """
        number, _, relative = place.partition("/")
        parts = relative.split("/") if relative else []
        hidden = [part for part in parts if not part or part.startswith(".") or "\\" in part or "\0" in part]
        if not number.isascii() or not number.isdecimal() or int(number) >= len(self.roots) or hidden:
            raise InputError("There is no such place in the opened folders.")
        root = self.roots[int(number)]
        path = root.joinpath(*parts)
        try:
            inside = path.resolve(strict=True).is_relative_to(root.resolve())
        except (OSError, ValueError, RuntimeError):  # missing, a name too long, links in a circle
            inside = False
        if not inside:
            raise InputError("There is no such place in the opened folders.")
        return path

    def volume_path(self, place: str) -> Path:
        """The path of a volume: a NIfTI file, or a folder of DICOM.

        Raises:
            InputError: the place is no volume.
        """
        path = self.resolve(place)
        if path.is_dir() or is_volume_file(path.name):
            return path
        raise InputError(f"{path.name}: is no volume; choose a .nii or .nii.gz file, or a folder of DICOM.")

    def listing(self, place: str) -> Listing:
        """Folders and volumes at a place; hidden ones and other files are passed over.

        Raises:
            InputError: no such folder, or it cannot be read.
        """
        folder = self.resolve(place)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed ({error.strerror}).") from error
        shown = [(name, is_dir) for name, is_dir in found if is_dir or is_volume_file(name)]
        names = shown[:MAX_LISTED]
        folders = [name for name, is_dir in names if is_dir]
        series = [name for name in folders if _holds_dicom(folder / name)]
        return Listing(
            [name for name in folders if name not in series],
            [name for name, is_dir in names if not is_dir or name in series],
            len(shown) > MAX_LISTED,
        )


def _holds_dicom(folder: Path) -> bool:
    """Whether the first file in a folder is DICOM by its first bytes."""
    try:
        with os.scandir(folder) as entries:
            first = min((entry.name for entry in entries if entry.is_file() and entry.name[0] != "."), default=None)
        if first is None:
            return False
        with (folder / first).open("rb") as file:
            return file.read(DICOM_MAGIC_AT + 4)[DICOM_MAGIC_AT:] == DICOM_MAGIC
    except OSError:
        return False
