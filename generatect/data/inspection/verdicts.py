"""What reading whole volumes has shown, kept for training, which does not read them all before it starts."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.catalogue import CHECKS
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.findings import errors
from generatect.data.inspection.headers import inspection_folder
from generatect.data.inspection.refusals import kind_of_refusal
from generatect.data.inspection.voxel_checks import check_voxels
from generatect.data.manifest import Record
from generatect.data.stamp import Stamp, stamp_from, stamp_of
from generatect.kept_lines import KeptLines

VERSION = "1"
"""Of what is kept: raise it when volumes are judged or hashed in another way."""


@dataclass(frozen=True)
class Seen:
    """What is known of a volume's voxels.

    Attributes:
        stamp: of the file that they were read from; see `stamp_of`.
        is_judged: the doctor has read them; False: they were only hashed.
        code: error that they showed; None for none.
        content: their hash; None where they cannot be read.
    """

    stamp: Stamp
    is_judged: bool
    code: str | None
    content: str | None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Seen":
        """What `remember` wrote."""
        if values["code"] is not None and values["code"] not in CHECKS:
            raise ValueError("a check that this version has not")
        return cls(stamp_from(values["stamp"]), bool(values["is_judged"]), values["code"], values["content"])


def remember(
    pairs: ArchivePairs,
    stamps: Sequence[Stamp],
    headers: Sequence[HeaderFacts],
    voxels: Sequence[VoxelFacts],
    cache_dir: str,
) -> None:
    """Keeps what the voxels of each volume show: errors that are theirs alone, and their hash.

    What tables or other files have to do with it is not kept; that is looked at anew. Nor is a refusal whose cause may
    lie outside of the file, such as permissions or memory.

    Args:
        pairs: the archive.
        stamps: of the files, taken before they were read.
        headers: facts of their headers.
        voxels: facts of the volumes.
        cache_dir: where they are kept.

    Raises:
        InputError: the folder cannot be written.
    """
    of_volume: dict[str, str] = {}
    for finding in errors(check_voxels(pairs.records, headers, voxels)):
        of_volume.setdefault(finding.name, finding.code)
    keep_seen(
        pairs,
        {
            index: Seen(stamp, True, of_volume.get(record.name), facts.content)
            for index, (record, stamp, facts) in enumerate(zip(pairs.records, stamps, voxels, strict=True))
            if facts.refusal is None or kind_of_refusal(facts.refusal, otherwise="")
        },
        cache_dir,
    )


def keep_seen(pairs: ArchivePairs, seen: Mapping[int, Seen], cache_dir: str) -> None:
    """Keeps what is known of volumes, by their index.

    Raises:
        InputError: the folder cannot be written.
    """
    store = _store(cache_dir)
    known = store.read(Seen.from_json)
    new = {_key(pairs, pairs.records[index]): entry for index, entry in seen.items()}
    store.add(
        {
            key: {
                "stamp": entry.stamp,
                "is_judged": entry.is_judged,
                "code": entry.code,
                "content": entry.content,
            }
            for key, entry in new.items()
            if known.get(key) != entry
        }
    )


def recall(pairs: ArchivePairs, cache_dir: str) -> tuple[list[Seen | None], int]:
    """What is known of each volume as it is now, and how many the doctor read that have changed since."""
    known = _store(cache_dir).read(Seen.from_json)
    seen, num_changed = list[Seen | None](), 0
    for record in pairs.records:
        entry = known.get(_key(pairs, record)) if known else None
        is_same = entry is not None and entry.stamp == stamp_of(record.path)
        seen.append(entry if is_same else None)
        num_changed += entry is not None and entry.is_judged and not is_same
    return seen, num_changed


def _key(pairs: ArchivePairs, record: Record) -> str:
    """Hash of a file's path and of how it is read: its voxels in HU depend on nothing else."""
    how = (os.fsencode(record.path), pairs.hu_policy, record.metadata, record.spacing_mm_zyx, pairs.assume_axes)
    return hashlib.sha256(repr(how).encode()).hexdigest()[:32]


def _store(cache_dir: str) -> KeptLines:
    return KeptLines(inspection_folder(cache_dir) / "voxels.jsonl", VERSION)
