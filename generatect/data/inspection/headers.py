"""The header of every file: read in threads, and kept, so that the next look costs one `stat` a file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from generatect.ct.volume_files import files_below
from generatect.data.inspection.content import add_content
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_facts import header_facts
from generatect.data.manifest import Record
from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder
from generatect.progress import Progress

VERSION = "2"
"""Of what is kept: raise it when headers are read or described in another way."""

NUM_THREADS = 16
"""Of waiting for a disk or a network, not of computing."""

Stamp = tuple[int, int]
Kept = dict[str, tuple[Stamp, HeaderFacts]]


def read_headers(
    records: Sequence[Record], *, assume_axes: str | None, cache_dir: str, show: Progress
) -> list[HeaderFacts]:
    """Facts of each file's header, in order; what was read before of an unchanged file is not read again.

    Args:
        records: the volumes: NIfTI files, and folders of DICOM series.
        assume_axes: as in `read_nifti`.
        cache_dir: where facts are kept.
        show: told of the progress.

    Raises:
        InputError: the folder of kept facts cannot be written.
    """
    keys = [hidden_key(record, assume_axes) for record in records]
    store = _store(keys, cache_dir)
    kept = _load(store)
    stamps: list[Stamp] = []
    facts: list[HeaderFacts] = []

    def read(key: str, record: Record) -> tuple[Stamp, HeaderFacts]:
        stamp, known = stamp_of(record.path), kept.get(key)
        is_same = known is not None and known[0] == stamp
        return known if is_same else (stamp, header_facts(record, stamp[0], assume_axes))

    with _threads() as run:
        for stamp, of_file in run(read, keys, records):
            stamps.append(stamp)
            facts.append(of_file)
            show("headers", len(facts), len(records))
        facts = add_content([record.path for record in records], facts, run, show)
    now = {key: (stamp, of_file) for key, stamp, of_file in zip(keys, stamps, facts, strict=True)}
    if now != kept:
        _save(store, now)
    return facts


def stamp_of(path: Path) -> Stamp:
    """Size and latest change of a file, or of all files of a folder; zeros where there is nothing."""
    try:
        statuses = [file.stat() for file in (files_below(path) if path.is_dir() else [path])]
    except (OSError, InputError):
        return 0, 0
    return sum(status.st_size for status in statuses), max((status.st_mtime_ns for status in statuses), default=0)


@contextmanager
def _threads() -> Iterator[Callable]:
    """Yields `map` of a pool; an interruption drops what has not begun."""
    pool = ThreadPoolExecutor(NUM_THREADS)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def hidden_key(record: Record, assume_axes: str | None) -> str:
    """A file's key among what is kept; a hash, since its path may name a patient."""
    how = repr((os.fsencode(record.path), record.spacing_mm_zyx, assume_axes))
    return hashlib.sha256(how.encode()).hexdigest()[:32]


def _store(keys: list[str], cache_dir: str) -> Path:
    """File of the kept facts: one for each archive."""
    key = hashlib.sha256(f"{VERSION} {' '.join(keys)}".encode()).hexdigest()[:32]
    return writable_folder(Path(cache_dir).expanduser() / "inspection", "cache_dir") / f"headers-{key}.json"


def _load(store: Path) -> Kept:
    """What was kept; nothing where the file is missing, damaged or of another version."""
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
        return {key: (tuple(stamp), HeaderFacts.from_json(facts)) for key, (stamp, facts) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(store: Path, kept: Kept) -> None:
    content = {key: (stamp, facts.to_json()) for key, (stamp, facts) in kept.items()}
    with atomic_path(store) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
