"""Which files hold the same bytes, found without reading many of them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from generatect.data.inspection.facts import HeaderFacts
from generatect.progress import Progress

SAMPLED_BYTES = 1 << 20


def add_content(paths: Sequence[Path], facts: list[HeaderFacts], run: Callable, show: Progress) -> list[HeaderFacts]:
    """The facts, with a hash of the content wherever another file has the very same size.

    Args:
        paths: of the files; folders are left alone.
        facts: of each file.
        run: a `map` that may work in parallel.
        show: told of the progress.
    """
    sizes = Counter(of_file.num_bytes for of_file in facts)
    wanted = [
        index
        for index, of_file in enumerate(facts)
        if sizes[of_file.num_bytes] > 1 and of_file.num_bytes and of_file.content is None and paths[index].is_file()
    ]
    hashed = list(facts)
    for done, (index, content) in enumerate(zip(wanted, run(content_hash, [paths[i] for i in wanted]), strict=True)):
        hashed[index] = replace(facts[index], content=content)
        show("files of equal size", done + 1, len(wanted))
    return hashed


def content_hash(path: Path) -> str | None:
    """Hash of a file's size, beginning, middle and end; None where it cannot be read.

    The noise of a CT makes them its own, and a gzip file ends in the checksum and length of all that it holds.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for place in (0, size // 2, size - SAMPLED_BYTES):
                file.seek(max(0, place))
                digest.update(file.read(SAMPLED_BYTES))
    except OSError:
        return None
    return digest.hexdigest()
