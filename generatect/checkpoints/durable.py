"""Checkpoints that survive a crash, a full disk and a kill in the middle of writing."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from generatect.files import atomic_path


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written whole beside their place and then moved there.

    Lightning itself writes through the temporary folder, which may be another filesystem: its move is then a copy, and
    a run that dies meanwhile leaves a cut file where a good one was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes `checkpoint` to `path`, or leaves what was there."""
        assert storage_options is None, "local files have no storage options"
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)
