"""All checks of one archive, in the order of their cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.duplicates import check_duplicates, read_hashes, suspects
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.findings import Finding, errors
from generatect.data.inspection.header_checks import check_headers
from generatect.data.inspection.headers import read_headers
from generatect.data.inspection.report_length import token_counter
from generatect.data.inspection.table_checks import check_tables
from generatect.data.inspection.voxel_checks import check_voxels
from generatect.data.inspection.voxels import read_voxels
from generatect.data.manifest import LeftOut, Record
from generatect.data.split import decided_sides
from generatect.progress import Progress
from generatect.text.reading import advise, describe_cut


@dataclass(frozen=True)
class Inspection:
    """What is known of an archive.

    Attributes:
        records: its usable volumes.
        left_out: the others.
        headers: facts of each record's file.
        voxels: facts of each record's volume; None where voxels were not asked for.
        findings: everything found.
        token_limit: what the text encoder reads, and how that was counted.
        cut_reports: one line on the reports that are longer, and what to set; None where there is none.
    """

    records: list[Record]
    left_out: list[LeftOut]
    headers: list[HeaderFacts]
    voxels: list[VoxelFacts] | None
    findings: list[Finding]
    token_limit: str
    cut_reports: str | None = None

    @property
    def may_start(self) -> bool:
        """Whether training may start."""
        return not errors(self.findings)

    @property
    def num_bytes(self) -> int:
        """Size of the archive's volumes on disk."""
        return sum(facts.num_bytes for facts in self.headers)


def headers_of(pairs: ArchivePairs, cache_dir: str, show: Progress) -> list[HeaderFacts]:
    """Facts of each file's header; see `read_headers`."""
    return read_headers(pairs.records, assume_axes=pairs.assume_axes, cache_dir=cache_dir, show=show)


def inspect_archive(
    pairs: ArchivePairs,
    headers: list[HeaderFacts],
    encoder: Mapping[str, Any],
    *,
    kept: Path | None,
    num_workers: int,
    show: Progress,
) -> Inspection:
    """Runs all checks.

    Args:
        pairs: the archive.
        headers: of `headers_of`.
        encoder: `encoder` of a text_encoder configuration.
        kept: file of what whole volumes showed, see `read_voxels`; None reads none.
        num_workers: volumes in memory at a time.
        show: told of the progress.
    """
    records, tokens = pairs.records, token_counter(encoder)
    reads = tokens.reads([record.text for record in records])
    findings = check_tables(pairs.manifest, reads) + check_headers(records, headers)
    contents: list[str | None] = [None] * len(records)
    voxels = None
    if kept is not None:
        voxels = read_voxels(pairs, kept=kept, num_workers=num_workers, show=show)
        findings += check_voxels(records, headers, voxels)
        contents = [of_volume.content for of_volume in voxels]
    else:
        read = read_hashes(pairs, suspects(headers, contents, None), show)
        contents = [read.get(index) for index in range(len(records))]
    sides = decided_sides([record.patient for record in records], [record.split for record in records])
    findings += check_duplicates(records, [facts.content for facts in headers], contents, sides)
    limit = f"{tokens.max_tokens} tokens, counted by {tokens.how}"
    cut = describe_cut(reads, "reports")
    cut_reports = cut and f"{cut}: {advise(reads)}"
    return Inspection(records, pairs.manifest.left_out, headers, voxels, findings, limit, cut_reports)
