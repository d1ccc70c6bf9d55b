"""Training does not start on what the doctor refuses."""

from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_only

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.archive import headers_of
from generatect.data.inspection.catalogue import CHECKS
from generatect.data.inspection.duplicates import check_duplicates, read_hashes, suspects
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.findings import errors, found, plain
from generatect.data.inspection.header_checks import check_headers
from generatect.data.inspection.table_checks import check_splits
from generatect.data.inspection.verdicts import Seen, keep_seen, recall
from generatect.data.pairs import Pairs
from generatect.data.split import decided_sides
from generatect.data.stamp import stamp_of
from generatect.errors import InputError
from generatect.progress import Progress, bars

CHOICES = ("refuse", "ignore")
BARS_FROM = 2000
"""Volumes; fewer headers are read before a bar would be seen."""


def refuse_bad(
    pairs: Pairs, train: Sequence[int], val: Sequence[int], *, doctor: str, on_bad: str, cache_dir: str
) -> None:
    """Checks tables and headers of an archive, recalls what was seen in voxels, and finds one scan on both sides.

    For the last, whole volumes are read only where two on different sides have the same shape and look alike in their
    first plane, and nobody has read them before. Pairs without files are not looked at.

    Args:
        pairs: what training is to read.
        train: indices that the run trains on.
        val: indices that it validates on.
        doctor: "refuse", or "ignore" for no check.
        on_bad: "skip" leaves unreadable volumes out while training, so they are no reason to refuse.
        cache_dir: where facts of files are kept.

    Raises:
        InputError: an error was found, or an unknown choice.
    """
    if doctor not in CHOICES:
        raise InputError(f"data.doctor={doctor}: expected {' or '.join(CHOICES)}")
    if doctor == "ignore" or not isinstance(pairs, ArchivePairs):
        return
    records = pairs.records
    sides = decided_sides([record.patient for record in records], [record.split for record in records])
    for side, indices in (("train", train), ("val", val)):
        for index in indices:
            sides[index] = side
    with bars() as show:
        headers = headers_of(pairs, cache_dir, show if len(pairs) >= BARS_FROM else lambda label, done, total: None)
        seen, num_changed = recall(pairs, cache_dir)
        contents = _contents(pairs, headers, seen, sides, cache_dir, show)
    if rank_zero_only.rank == 0:
        _say_what_is_not_known(headers, contents, sides, num_changed)
    findings = check_splits(records) + check_headers(records, headers)
    for record, entry in zip(records, seen, strict=True):
        if entry is not None and entry.code is not None:
            findings.append(found(entry.code, record.name, "as the doctor saw in its voxels"))
    findings += check_duplicates(records, [facts.content for facts in headers], contents, sides)
    findings = errors(findings)
    if on_bad == "skip":
        findings = [finding for finding in findings if not CHECKS[finding.code].of_file]
    if not findings:
        return
    first, num_bad = findings[0], len({finding.name for finding in findings})
    skip = "set data.on_bad=skip to leave them out, " if all(CHECKS[f.code].of_file for f in findings) else ""
    raise InputError(
        f"data: the doctor refuses {num_bad} of {len(pairs)} volumes, first {plain(first.name)}: "
        f"{CHECKS[first.code].title.lower()} ({plain(first.message)}); run python -m generatect.doctor with the same "
        f"data settings to see all, then repair them, {skip}or set data.doctor=ignore"
    )


def _contents(
    pairs: ArchivePairs,
    headers: Sequence[HeaderFacts],
    seen: Sequence[Seen | None],
    sides: Sequence[str | None],
    cache_dir: str,
    show: Progress,
) -> list[str | None]:
    """Hash of the voxels of each volume, as far as it is known or must be; what is read for it is kept."""
    known = [None if entry is None else entry.content for entry in seen]
    wanted = suspects(headers, known, sides)
    stamps = {index: stamp_of(pairs.records[index].path) for index in wanted}
    read = read_hashes(pairs, wanted, show)
    keep_seen(pairs, {index: Seen(stamps[index], False, None, content) for index, content in read.items()}, cache_dir)
    return [read.get(index, content) for index, content in enumerate(known)]


def _say_what_is_not_known(
    headers: Sequence[HeaderFacts], contents: Sequence[str | None], sides: Sequence[str | None], num_changed: int
) -> None:
    again = "python -m generatect.doctor with voxels=true"
    if num_changed:
        print(
            f"data: {num_changed} of {len(headers)} volumes have changed since the doctor read their voxels; run "
            f"{again} to have them judged"
        )
    blind = [
        side
        for facts, content, side in zip(headers, contents, sides, strict=True)
        if side is not None and content is None and facts.glimpse is None and facts.refusal is None
    ]
    if blind and {"train", "val"} <= set(sides):
        print(
            f"data: {len(blind)} of {len(headers)} volumes show nothing at a glimpse and were not looked for on the "
            f"other side of the split; {again} compares all"
        )
