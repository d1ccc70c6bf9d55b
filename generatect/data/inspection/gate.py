"""Training does not start on what the doctor refuses."""

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.archive import check_files, headers_of
from generatect.data.inspection.catalogue import CHECKS
from generatect.data.inspection.findings import errors, plain
from generatect.data.inspection.table_checks import check_splits
from generatect.data.inspection.verdicts import remembered
from generatect.data.pairs import Pairs
from generatect.errors import InputError
from generatect.progress import bars

CHOICES = ("refuse", "ignore")
BARS_FROM = 2000
"""Volumes; fewer headers are read before a bar would be seen."""


def refuse_bad(pairs: Pairs, *, doctor: str, on_bad: str, cache_dir: str) -> None:
    """Checks tables and headers of an archive, and recalls what the doctor saw in voxels; other pairs have no files.

    Args:
        pairs: what training is to read.
        doctor: "refuse", or "ignore" for no check.
        on_bad: "skip" leaves unreadable volumes out while training, so they are no reason to refuse.
        cache_dir: where facts of headers are kept.

    Raises:
        InputError: an error was found, or an unknown choice.
    """
    if doctor not in CHOICES:
        raise InputError(f"data.doctor={doctor}: expected {' or '.join(CHOICES)}")
    if doctor == "ignore" or not isinstance(pairs, ArchivePairs):
        return
    with bars() as show:
        is_long = len(pairs) >= BARS_FROM
        headers = headers_of(pairs, cache_dir, show if is_long else lambda label, done, total: None)
    findings = errors(check_splits(pairs.records) + check_files(pairs.records, headers)) + remembered(pairs, cache_dir)
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
