"""Checkpoints that survive a crash, a full disk and a kill in the middle of writing."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import Tensor

from generatect.errors import InputError
from generatect.files import atomic_path, require_space

LATEST, PREVIOUS = "last.ckpt", "previous.ckpt"
"""The checkpoint to go on from, and the one before it."""

_BESIDE_TENSORS_BYTES, _BESIDE_EACH_BYTES = 1_000_000, 512


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written whole beside their place and then moved there.

    Lightning itself writes through the temporary folder, which may be another filesystem: its move is then a copy, and
    a run that dies meanwhile leaves a cut file where a good one was. It also says nothing where a folder cannot be
    written. Here every failure ends the run, and what was there stays as it was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes `checkpoint` to `path`, or leaves what was there; of `last.ckpt` the one before stays beside it.

        Raises:
            InputError: no room for it, or the folder cannot be written.
        """
        assert storage_options is None, "local files have no storage options"
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            require_space(path, num_bytes(checkpoint))
            with atomic_path(path) as temporary:
                with open(temporary, "wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())  # a full network drive may say so only now
                if path.name == LATEST:
                    keep_previous(path)
            _sync_folder(path.parent)
        except (OSError, RuntimeError) as error:
            reason = _disk_error(error)
            if reason is None:
                raise
            raise InputError(
                f"output={path}: the checkpoint cannot be written ({reason}), what was there is as it was; make the "
                "folder writable or make room, and go on with resume=auto"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Tensors and plain values; what a file asks to be executed is refused, whoever calls."""
        return super().load_checkpoint(path, map_location, weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes a file; one that is gone is none to remove."""
        Path(path).unlink(missing_ok=True)


def num_bytes(content: Any) -> int:
    """Room that `content` takes in a file at most: its tensors, each memory once, and some for what is beside them."""
    sizes: dict[tuple[int, str], int] = {}
    for tensor in _tensors(content):
        memory = tensor.untyped_storage()
        sizes[memory.data_ptr(), str(memory.device)] = memory.nbytes()
    return sum(sizes.values()) + _BESIDE_EACH_BYTES * len(sizes) + _BESIDE_TENSORS_BYTES


def keep_previous(path: Path) -> None:
    """Gives the file at `path` a second name, which stays when `path` is replaced."""
    if not path.exists():
        return
    second, temporary = path.with_name(PREVIOUS), path.with_name(f".{PREVIOUS}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # some network drives know no second names
        return
    os.replace(temporary, second)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed runs have left half written; while a run writes there, nobody else may call this."""
    for path in folder.glob(".*.ckpt.*part"):
        path.unlink(missing_ok=True)


def _tensors(content: Any) -> Iterable[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value)


def _disk_error(error: BaseException) -> str | None:
    """What the system said; torch's writer hides it behind an error of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause.strerror or type(cause).__name__
        cause = cause.__context__
    return None


def _sync_folder(folder: Path) -> None:
    """Makes a rename last; a system that cannot open folders does it by itself."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
