"""Volumes by their ids, wherever they come from, kept in memory while they are looked at.

An id is "made/NAME" (in the output folder), "files/NUMBER/PATH" (in an opened folder), "phantom/NUMBER" (the truth of
an example, from 1) or "opened/NUMBER" (sent by the browser, kept nowhere but here). Names are spelled as in
`generatect.web.names`. What is kept of a file is kept under its state, so that a file that is replaced is read anew.
"""

import base64
import contextlib
import itertools
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generatect.ct.difference import difference
from generatect.ct.scan import Reading
from generatect.ct.volume import CTVolume
from generatect.data.inspection.thumbnail import thumbnail
from generatect.errors import InputError
from generatect.files import naming, sha256_of_file
from generatect.web.examples import Examples
from generatect.web.folders import Folders
from generatect.web.memory import Memory
from generatect.web.names import meant_in_folder, spelled
from generatect.web.state import state_of
from generatect.web.texts import find_text, read_sidecar
from generatect.web.within import is_file_within

MAX_VOLUME_BYTES, MAX_THUMBNAIL_BYTES = 2_000_000_000, 10_000_000
MAX_OPENED = 4


class ChangedError(InputError):
    """The file is no longer the one that the page shows."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A volume as int16, as it is sent and written, and why its stored values are taken as HU."""

    volume: CTVolume
    hu: str | None


@dataclass(frozen=True)
class About:
    """What is known of a volume besides its voxels; `doubt` says why its text may be of other voxels."""

    title: str
    notice: str | None = None
    text: str | None = None
    sidecar: dict[str, Any] = field(default_factory=dict)
    doubt: str | None = None


class Library:
    """Finds, reads and keeps volumes.

    Args:
        output: folder of what was made.
        folders: opened folders.
        examples: phantoms.
        reading: how opened files are read.
    """

    def __init__(self, output: Path, folders: Folders, examples: Examples, reading: Reading) -> None:
        self.output, self.folders, self.examples, self.reading = output, folders, examples, reading
        self.kept = Memory[Seen](lambda seen: seen.volume.voxels_hu.nbytes, MAX_VOLUME_BYTES)
        self.thumbnails = Memory[bytes](len, MAX_THUMBNAIL_BYTES)
        self.hashes = Memory[str](len, MAX_THUMBNAIL_BYTES)
        self.opened: OrderedDict[str, tuple[str, Seen]] = OrderedDict()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def volume(self, volume_id: str, state: str | None = None) -> CTVolume:
        """The volume of an id; see `seen`."""
        return self.seen(volume_id, state).volume

    def seen(self, volume_id: str, state: str | None = None) -> Seen:
        """The volume of an id; read once while memory lasts and the file stays.

        Args:
            volume_id: which one.
            state: what `state` said when the page was told of it; None: it may be any.

        Raises:
            InputError: there is no such volume, or it cannot be read.
            ChangedError: it is in another state.
        """
        opened = self.opened.get(volume_id)
        if opened is not None:
            return opened[1]
        found = self.require_state(volume_id, state)
        return self.kept.get((volume_id, found), lambda: self._read(volume_id))

    def change(self, first: str, second: str, states: tuple[str | None, str | None] = (None, None)) -> CTVolume:
        """What differs between two volumes, on the grid of the first; their states as in `seen`.

        Raises:
            InputError: there is no such volume, or the two cannot be compared.
            ChangedError: one of them is in another state.
        """
        found = self.require_state(first, states[0]), self.require_state(second, states[1])
        volumes = self.volume(first, found[0]), self.volume(second, found[1])
        return self.kept.get((first, second, *found), lambda: Seen(difference(*volumes), None)).volume

    def thumbnail(self, volume_id: str) -> bytes:
        """A small JPEG of a volume.

        Raises:
            InputError: there is no such volume, or it cannot be read.
        """
        key = volume_id, self.state(volume_id)
        return self.thumbnails.get(key, lambda: base64.b64decode(thumbnail(self.volume(volume_id))))

    def state(self, volume_id: str) -> str:
        """What changes when the file of a volume does; "" where it has none.

        Raises:
            InputError: there is no such volume.
        """
        path = self.path(volume_id)
        try:
            return "" if path is None else state_of(path)
        except OSError as error:  # removed just now
            raise InputError("There is no such volume here.") from error

    def require_state(self, volume_id: str, wanted: str | None) -> str:
        """The state of a volume, where it is the one that is wanted, or any is; errors as in `seen`."""
        found = self.state(volume_id)
        if wanted not in (None, found):
            raise ChangedError("The file has changed since it was opened.")
        return found

    def path(self, volume_id: str) -> Path | None:
        """The file or folder of a volume; None: it is none.

        Raises:
            InputError: there is no such volume.
        """
        kind, _, place = volume_id.partition("/")
        if kind == "files":
            return self.folders.volume_path(place)
        if kind == "made":
            with contextlib.suppress(ValueError):  # it is no name
                path = self.output / f"{meant_in_folder(place)}.nii.gz"
                if is_file_within(path, self.output):
                    return path
        elif volume_id in self.opened or volume_id in self.examples.ids:
            return None
        raise InputError("There is no such volume here.")

    def about(self, volume_id: str) -> About:
        """What is known of a volume.

        Raises:
            InputError: there is no such volume.
        """
        opened = self.opened.get(volume_id)
        if opened is not None:
            return About(opened[0])
        path = self.path(volume_id)
        if path is None:
            text, notice = self.examples.text(volume_id)
            return About(f"True phantom {volume_id.partition('/')[2]}", notice, text)
        root, name = self._root(volume_id), spelled(path.name)
        sidecar = read_sidecar(path, root)
        if sidecar:
            prompt = sidecar.get("prompt")
            title = name if volume_id.startswith("files/") else "Generated" if prompt else "Reconstruction"
            text = prompt if isinstance(prompt, str) else None
            return About(title, sidecar["notice"], text, sidecar, self._doubt(volume_id, path, sidecar))
        text, notice = find_text(path, root, within=root)
        return About(name, notice, text)

    def open(self, name: str, content: bytes) -> str:
        """Reads a NIfTI file that the browser sent, and returns its id. It lies on disk only while it is read.

        Raises:
            InputError: it is no CT volume.
        """
        ending = ".nii.gz" if content.startswith(b"\x1f\x8b") else ".nii"
        with tempfile.TemporaryDirectory(prefix="generatect-") as folder:
            path = Path(folder) / f"upload{ending}"
            with naming(path):
                path.write_bytes(content)
            try:
                scan = self.reading.read(path)
            except InputError as error:
                raise InputError(str(error).replace(f"{path}: ", "The file: ")) from error
        with self.lock:
            volume_id = f"opened/{next(self.numbers)}"
            self.opened[volume_id] = (name[:200] or "Opened file", Seen(_small(scan.volume), scan.hu.reason))
            while len(self.opened) > MAX_OPENED:
                self.opened.popitem(last=False)
        return volume_id

    def _root(self, volume_id: str) -> Path:
        """The folder that nothing of a volume on disk may lie outside of."""
        kind, _, place = volume_id.partition("/")
        return self.folders.root(place) if kind == "files" else self.output

    def _read(self, volume_id: str) -> Seen:
        path = self.path(volume_id)
        if path is None:
            return Seen(_small(self.examples.truth(volume_id)), None)
        reading = Reading("already_hu") if volume_id.startswith("made/") else self.reading
        scan = reading.read(path)
        return Seen(_small(scan.volume), scan.hu.reason)

    def _doubt(self, volume_id: str, path: Path, sidecar: dict[str, Any]) -> str | None:
        """Why a sidecar may belong to other voxels: it states the hash of another file."""
        stated = sidecar.get("volume_sha256")
        if not isinstance(stated, str) or path.is_dir():
            return None
        found = self.hashes.get((volume_id, self.state(volume_id)), lambda: sha256_of_file(path))
        return None if found == stated else "The file has changed since this was written of it: its SHA-256 is another."


def _small(volume: CTVolume) -> CTVolume:
    """The volume as int16."""
    if volume.voxels_hu.dtype == np.int16:
        return volume
    limits = np.iinfo(np.int16)
    return CTVolume(np.rint(volume.voxels_hu).clip(limits.min, limits.max).astype(np.int16), volume.affine)
