"""The header of every file: read in threads, and kept, so that the next look costs one `stat` a file."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from generatect.data.inspection.content import add_content
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_facts import header_facts
from generatect.data.manifest import Record
from generatect.data.stamp import Stamp, stamp_from, stamp_of
from generatect.files import writable_folder
from generatect.kept_lines import KeptLines
from generatect.progress import Progress

VERSION = "3"
"""Of what is kept: raise it when headers are read or described in another way."""

NUM_THREADS = 16
"""Of waiting for a disk or a network, not of computing."""


def read_headers(
    records: Sequence[Record], *, assume_axes: str | None, cache_dir: str, show: Progress
) -> list[HeaderFacts]:
    """Facts of each file's header, in order; what was read before of an unchanged file is not read again.

    What is kept belongs to files, not to an archive: another table over the same files finds it. A refusal is not kept,
    since its cause may lie outside of the file.

    Args:
        records: the volumes: NIfTI files, and folders of DICOM series.
        assume_axes: as in `read_nifti`.
        cache_dir: where facts are kept.
        show: told of the progress.

    Raises:
        InputError: the folder of kept facts cannot be written.
    """
    keys = [hidden_key(record, assume_axes) for record in records]
    store = KeptLines(inspection_folder(cache_dir) / "headers.jsonl", VERSION)
    kept = store.read(lambda entry: (stamp_from(entry["stamp"]), HeaderFacts.from_json(entry["facts"])))
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
    new = {key: entry for key, entry in now.items() if entry[1].refusal is None and entry != kept.get(key)}
    store.add({key: {"stamp": stamp, "facts": of_file.to_json()} for key, (stamp, of_file) in new.items()})
    return facts


def inspection_folder(cache_dir: str) -> Path:
    """Where facts of files are kept.

    Raises:
        InputError: it cannot be written.
    """
    return writable_folder(Path(cache_dir).expanduser() / "inspection", "cache_dir")


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
