"""Volumes embedded once: features are kept on disk by the content of each file, and a killed audit goes on."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from generatect.ct.scan import Reading
from generatect.data.cache import ArrayCache
from generatect.data.stamp import require_unchanged
from generatect.errors import InputError
from generatect.evaluation.volumes import refuse_unreadable
from generatect.privacy.embedding import TokenizerEmbedding
from generatect.privacy.folder import AuditedFolder, AuditedVolume
from generatect.progress import Progress, duration

BATCH = 8
"""Volumes embedded at a time."""
FEATURES, COARSE = "features", "coarse"


@dataclass(frozen=True)
class Embedder:
    """Turns folders into features.

    Attributes:
        embedding: what is computed of a volume.
        cache: where it is kept.
        reading: how scans are read.
    """

    embedding: TokenizerEmbedding
    cache: ArrayCache
    reading: Reading

    def missing(self, folder: AuditedFolder) -> list[AuditedVolume]:
        """Volumes that are not embedded yet."""
        return [
            volume
            for volume in folder.volumes
            if any(self._key(what, volume) not in self.cache for what in (FEATURES, COARSE))
        ]

    def embed(self, folders: Sequence[AuditedFolder], say: Callable[[str], None], show: Progress) -> None:
        """Embeds what is missing, and says beforehand how long it takes, from timing the second volume.

        Raises:
            InputError: volumes cannot be read, all of them listed, after the others have been embedded and kept: an
                audit without them would clear a model that copies them.
        """
        refused = list[str]()
        missing = [volume for folder in folders for volume in self.missing(folder)]
        total = sum(map(len, folders))
        if not missing:
            say(f"{total} volumes are embedded from before")
            return
        self._keep(missing[:1], refused)  # the first one is slow
        started = time.monotonic()
        self._keep(missing[1:2], refused)
        seconds = (time.monotonic() - started) * len(missing)
        say(f"{len(missing)} of {total} volumes to embed with the {self.embedding.name}: about {duration(seconds)}")
        for start in range(2, len(missing), BATCH):
            self._keep(missing[start : start + BATCH], refused)
            show("volumes embedded", min(start + BATCH, len(missing)), len(missing))
        refuse_unreadable(refused, total)

    def features(self, folder: AuditedFolder) -> Float64[np.ndarray, "n d"]:
        """Features of a folder's volumes."""
        return np.stack([self._read(FEATURES, volume) for volume in folder.volumes]).astype(np.float64)

    def coarse(self, volume: AuditedVolume) -> UInt8[np.ndarray, "depth rows columns"]:
        """Grey values of a volume."""
        return self._read(COARSE, volume)

    def num_repeated(self, folder: AuditedFolder) -> int:
        """Volumes of a folder that have the very grey values of an earlier one."""
        images = {hashlib.sha256(self.coarse(volume).tobytes()).digest() for volume in folder.volumes}
        return len(folder) - len(images)

    def _keep(self, volumes: Sequence[AuditedVolume], refused: list[str]) -> None:
        """Embeds volumes; of those that cannot be read, the reason is added to `refused`."""
        prepared = dict[AuditedVolume, Tensor]()
        for volume in volumes:
            try:
                prepared[volume] = self._prepared(volume)
            except InputError as error:
                refused.append(str(error))
        if prepared:
            for what, rows in self._embedded(list(prepared.values())).items():
                for volume, row in zip(prepared, rows, strict=True):
                    self.cache.put(self._key(what, volume), row)

    def _read(self, what: str, volume: AuditedVolume) -> np.ndarray:
        """What is kept of a volume; made anew where it has been damaged."""
        return self.cache.get(self._key(what, volume), lambda: self._embedded([self._prepared(volume)])[what][0])

    def _prepared(self, volume: AuditedVolume) -> Tensor:
        scan = self.reading.read(volume.path).volume
        require_unchanged(volume.path, volume.stamp)
        return self.embedding.prepared(scan)

    def _embedded(self, prepared: Sequence[Tensor]) -> dict[str, np.ndarray]:
        features, coarse = self.embedding.of(torch.stack([*prepared]))
        return {FEATURES: features.numpy(), COARSE: coarse.numpy()}

    def _key(self, what: str, volume: AuditedVolume) -> tuple[str, ...]:
        return ("audit", what, self.embedding.identity, repr(self.reading), volume.content)
