"""Folders that the user opened for browsing: nothing outside of them is listed or read."""

import os
from dataclasses import dataclass
from pathlib import Path

from generatect.ct.volume_files import is_volume_file
from generatect.errors import InputError
from generatect.web.names import meant_in_folder, spelled
from generatect.web.within import is_within, leads_out, open_file

MAX_LISTED = 2000
DICOM_MAGIC, DICOM_MAGIC_AT = b"DICM", 128


@dataclass(frozen=True)
class Listing:
    """What a folder holds, names spelled as in `generatect.web.names`.

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

    Places in them are written "NUMBER/PATH", with the number of the opened folder and a path relative to it, its names
    spelled as in `generatect.web.names`.

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
        if number in map(str, range(len(self.roots))):
            root = self.roots[int(number)]
            try:
                path = root.joinpath(*map(meant_in_folder, relative.split("/") if relative else []))
            except ValueError:
                path = None
            if path is not None and is_within(path, root):
                return path
        raise InputError("There is no such place in the opened folders.")

    def root(self, place: str) -> Path:
        """The opened folder that a place lies in.

        Raises:
            InputError: there is no such place.
        """
        self.resolve(place)
        return self.roots[int(place.partition("/")[0])]

    def volume_path(self, place: str) -> Path:
        """The path of a volume: a NIfTI file, or a folder of DICOM.

        Raises:
            InputError: the place is no volume.
        """
        path = self.resolve(place)
        if path.is_dir() and leads_out(path, self.root(place)):
            raise InputError(f"{spelled(path.name)}: holds links out of the opened folder; they are not read.")
        if path.is_dir() or is_volume_file(path.name):
            return path
        raise InputError(f"{spelled(path.name)}: is no volume; choose a .nii or .nii.gz file, or a folder of DICOM.")

    def listing(self, place: str) -> Listing:
        """Folders and volumes at a place; hidden ones and other files are passed over.

        Raises:
            InputError: no such folder, or it cannot be read.
        """
        folder, root = self.resolve(place), self.root(place)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir()) for entry in entries if _is_shown(entry, root))
        except OSError as error:
            raise InputError(f"{spelled(str(folder))}: cannot be listed ({error.strerror}).") from error
        folders, volumes = list[str](), list[str]()
        for name, is_folder in found[:MAX_LISTED]:
            is_volume = not is_folder or _holds_dicom(folder / name, root)
            (volumes if is_volume else folders).append(spelled(name))
        return Listing(folders, volumes, len(found) > MAX_LISTED)


def _is_shown(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether an entry is a folder or a NIfTI file, neither hidden nor a link that leads out or nowhere."""
    try:
        if entry.name.startswith(".") or (entry.is_symlink() and not is_within(Path(entry.path), root)):
            return False
        return entry.is_dir() or (entry.is_file() and is_volume_file(entry.name))
    except OSError:
        return False


def _holds_dicom(folder: Path, root: Path) -> bool:
    """Whether the first file in a folder is DICOM by its first bytes."""
    try:
        with os.scandir(folder) as entries:
            first = min((entry.name for entry in entries if entry.is_file() and entry.name[0] != "."), default=None)
        if first is None or not is_within(folder / first, root):
            return False
        with open_file(folder / first) as file:
            return file.read(DICOM_MAGIC_AT + 4)[DICOM_MAGIC_AT:] == DICOM_MAGIC
    except OSError:
        return False
