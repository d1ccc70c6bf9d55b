"""Volumes by their ids, wherever they come from, kept in memory while they are looked at.

An id is "made/NAME" (in the output folder), "files/NUMBER/PATH" (in an opened folder), "phantom/NUMBER" (the truth of
an example) or "opened/NUMBER" (sent by the browser, kept nowhere but here).
"""

import itertools
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generatect.ct.difference import difference
from generatect.ct.scan import read_scan
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.web.examples import NUM_PHANTOMS, Examples
from generatect.web.folders import Folders
from generatect.web.texts import find_text, read_sidecar

MAX_CACHED_BYTES = 2_000_000_000
MAX_OPENED = 4
_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,200}")


@dataclass(frozen=True)
class About:
    """What is known of a volume besides its voxels."""

    title: str
    notice: str | None = None
    text: str | None = None
    sidecar: dict[str, Any] = field(default_factory=dict)
    hu: str | None = None


class Library:
    """Finds, reads and keeps volumes.

    Args:
        output: folder of what was made.
        folders: opened folders.
        examples: phantoms.
        hu_policy: how stored values of opened files become HU.
    """

    def __init__(self, output: Path, folders: Folders, examples: Examples, hu_policy: str) -> None:
        self.output, self.folders, self.examples, self.hu_policy = output, folders, examples, hu_policy
        self.kept: OrderedDict[tuple[str, ...], CTVolume] = OrderedDict()
        self.opened: OrderedDict[str, tuple[str, CTVolume]] = OrderedDict()
        self.hu_reasons: dict[str, str] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.reading: dict[tuple[str, ...], threading.Lock] = {}

    def volume(self, volume_id: str) -> CTVolume:
        """The volume of an id; read once while memory lasts.

        Raises:
            InputError: there is no such volume, or it cannot be read.
        """
        if volume_id in self.opened:
            return self.opened[volume_id][1]
        return self._cached((volume_id,), lambda: self._read(volume_id))

    def change(self, first: str, second: str) -> CTVolume:
        """What differs between two volumes, on the grid of the first.

        Raises:
            InputError: there is no such volume, or the two cannot be compared.
        """
        return self._cached((first, second), lambda: difference(self.volume(first), self.volume(second)))

    def path(self, volume_id: str) -> Path | None:
        """The file or folder of a volume; None: it is none.

        Raises:
            InputError: there is no such volume.
        """
        kind, _, place = volume_id.partition("/")
        if kind == "files":
            return self.folders.volume_path(place)
        if kind == "made" and _NAME.fullmatch(place):
            path = self.output / f"{place}.nii.gz"
            if path.is_file():
                return path
        elif (kind == "phantom" and place in map(str, range(NUM_PHANTOMS))) or volume_id in self.opened:
            return None
        raise InputError("There is no such volume here.")

    def about(self, volume_id: str) -> About:
        """What is known of a volume.

        Raises:
            InputError: there is no such volume.
        """
        path = self.path(volume_id)
        hu = self.hu_reasons.get(volume_id)
        if path is None:
            if volume_id in self.opened:
                return About(self.opened[volume_id][0], hu=hu)
            text, notice = self.examples.text(int(volume_id.partition("/")[2]))
            return About(f"True phantom {int(volume_id.partition('/')[2]) + 1}", notice, text)
        sidecar = read_sidecar(path)
        if sidecar:
            prompt = sidecar.get("prompt")
            title = path.name if volume_id.startswith("files/") else "Generated" if prompt else "Reconstruction"
            return About(title, sidecar["notice"], prompt if isinstance(prompt, str) else None, sidecar, hu)
        number = volume_id.split("/")[1]
        root = self.folders.roots[int(number)] if volume_id.startswith("files/") else self.output
        text, notice = find_text(path, root)
        return About(path.name, notice, text, {}, hu)

    def open(self, name: str, content: bytes) -> str:
        """Reads a NIfTI file that the browser sent, and returns its id. It lies on disk only while it is read.

        Raises:
            InputError: it is no CT volume.
        """
        ending = ".nii.gz" if content.startswith(b"\x1f\x8b") else ".nii"
        with tempfile.TemporaryDirectory(prefix="generatect-") as folder:
            path = Path(folder) / f"upload{ending}"
            path.write_bytes(content)
            try:
                scan = read_scan(path, hu_policy=self.hu_policy)
            except InputError as error:
                raise InputError(str(error).replace(f"{path}: ", "The file: ")) from error
        with self.lock:
            volume_id = f"opened/{next(self.numbers)}"
            self.opened[volume_id] = (name[:200] or "Opened file", _small(scan.volume))
            self.hu_reasons[volume_id] = scan.hu.reason
            while len(self.opened) > MAX_OPENED:
                self.opened.popitem(last=False)
        return volume_id

    def _read(self, volume_id: str) -> CTVolume:
        path = self.path(volume_id)
        if path is None:
            return _small(self.examples.truth(int(volume_id.partition("/")[2])))
        policy = "already_hu" if volume_id.startswith("made/") else self.hu_policy
        scan = read_scan(path, hu_policy=policy)
        self.hu_reasons[volume_id] = scan.hu.reason
        return _small(scan.volume)

    def _cached(self, key: tuple[str, ...], make: Callable[[], CTVolume]) -> CTVolume:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
            reading = self.reading.setdefault(key, threading.Lock())
        with reading:  # a second request for the same volume waits for the first
            with self.lock:
                if key in self.kept:
                    return self.kept[key]
            try:
                volume = make()
            finally:
                with self.lock:
                    self.reading.pop(key, None)
            with self.lock:
                self.kept[key] = volume
                while len(self.kept) > 1 and sum(v.voxels_hu.nbytes for v in self.kept.values()) > MAX_CACHED_BYTES:
                    self.kept.popitem(last=False)
        return volume


def _small(volume: CTVolume) -> CTVolume:
    """The volume as int16, as it is sent and written."""
    if volume.voxels_hu.dtype == np.int16:
        return volume
    limits = np.iinfo(np.int16)
    return CTVolume(np.rint(volume.voxels_hu).clip(limits.min, limits.max).astype(np.int16), volume.affine)
