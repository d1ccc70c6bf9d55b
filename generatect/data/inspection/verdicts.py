"""What the doctor found in voxels, kept for training, which does not read whole volumes before it starts."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.findings import Finding, errors, found
from generatect.data.inspection.headers import hidden_key, stamp_of
from generatect.files import atomic_path, writable_folder


def remember(pairs: ArchivePairs, findings: Sequence[Finding], cache_dir: str) -> None:
    """Keeps the errors of an inspection of voxels, in place of those of the one before.

    Raises:
        InputError: the folder cannot be written.
    """
    of_volume = {finding.name: finding for finding in errors(findings)}
    refused = {
        hidden_key(record, pairs.assume_axes): [stamp_of(record.path), of_volume[record.name].code]
        for record in pairs.records
        if record.name in of_volume
    }
    with atomic_path(_store(pairs, cache_dir)) as temporary:
        temporary.write_text(json.dumps(refused), encoding="utf-8")


def remembered(pairs: ArchivePairs, cache_dir: str) -> list[Finding]:
    """Errors that were kept, of files that have not changed since."""
    try:
        refused = json.loads(_store(pairs, cache_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    findings = []
    for record in pairs.records if refused else ():
        stamp, code = refused.get(hidden_key(record, pairs.assume_axes), (None, None))
        if stamp is not None and tuple(stamp) == stamp_of(record.path):
            findings.append(found(code, record.name, "as the doctor saw in its voxels"))
    return findings


def _store(pairs: ArchivePairs, cache_dir: str) -> Path:
    """File of the kept errors: one for each archive and way of reading it."""
    keys = [hidden_key(record, pairs.assume_axes) for record in pairs.records]
    key = hashlib.sha256(f"{pairs.hu_policy} {' '.join(keys)}".encode()).hexdigest()[:32]
    return writable_folder(Path(cache_dir).expanduser() / "inspection", "cache_dir") / f"voxels-{key}.json"
