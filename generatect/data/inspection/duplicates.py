"""One scan in several files: by bytes or by voxels, and gravest where one of them trains and another validates."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from generatect.ct.same_scan import voxel_hash
from generatect.data.archive import ArchivePairs
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.findings import Finding, found
from generatect.data.manifest import Record
from generatect.errors import InputError
from generatect.progress import Progress

Side = str | None


def check_duplicates(
    records: Sequence[Record],
    files: Sequence[str | None],
    volumes: Sequence[str | None],
    sides: Sequence[Side],
) -> list[Finding]:
    """A finding for each volume that an earlier one is, too.

    Args:
        records: the volumes.
        files: hash of each file's bytes; None is like nothing else.
        volumes: hash of each one's voxels, likewise.
        sides: "train" or "val"; None where nobody has decided yet, or the volume is not used.
    """
    findings = []
    for members in _groups(files, volumes):
        for place, index in enumerate(members[1:], start=1):
            earlier = members[:place]
            opposite = [other for other in earlier if {sides[other], sides[index]} == {"train", "val"}]
            in_bytes = [other for other in earlier if files[index] is not None and files[other] == files[index]]
            first = (opposite or in_bytes or earlier)[0]
            is_other_patient = records[first].patient != records[index].patient
            message = f"the same as {records[first].name}" + ", another patient's" * is_other_patient
            if opposite:
                code, message = "duplicate-across-splits", f"{sides[first]} and {sides[index]}: {message}"
                message += "; give both one patient, or keep one" if is_other_patient else ""
            elif is_other_patient and None in (sides[first], sides[index]):
                code = "duplicate-patients"
            else:
                code = "duplicate-file" if in_bytes else "duplicate-volume"
            findings.append(found(code, records[index].name, message))
    return findings


def suspects(headers: Sequence[HeaderFacts], known: Sequence[str | None], sides: Sequence[Side] | None) -> list[int]:
    """Volumes that must be read to know whether they are one scan: those alike at a glimpse, not yet known by voxels.

    Of files that are the same byte for byte one is enough.

    Args:
        headers: facts of the files.
        known: hash of the voxels, where somebody has read them.
        sides: asks only about volumes that have one like them on the other side; None asks about all.
    """
    alike = defaultdict(list)
    for index, facts in enumerate(headers):
        if facts.glimpse is not None:
            alike[facts.glimpse].append(index)
    wanted = []
    for members in alike.values():
        if sides is not None and not {"train", "val"} <= {sides[index] for index in members}:
            continue
        different = {headers[index].content or str(index): index for index in reversed(members)}
        if len(different) > 1:
            wanted += [index for index in different.values() if known[index] is None]
    return sorted(wanted)


def read_hashes(pairs: ArchivePairs, indices: Sequence[int], show: Progress) -> dict[int, str]:
    """Hash of the voxels of these volumes; those that cannot be read are not in it."""
    found = {}
    for done, index in enumerate(indices):
        with suppress(InputError, OSError, MemoryError):  # said elsewhere, or left out by on_bad=skip
            found[index] = voxel_hash(pairs.volume(index).voxels_hu)
        show("volumes alike", done + 1, len(indices))
    return found


def _groups(files: Sequence[str | None], volumes: Sequence[str | None]) -> list[list[int]]:
    """Indices that share a file's or a volume's hash, directly or by way of another; each group ascending."""
    earliest = list(range(len(files)))

    def root(index: int) -> int:
        while earliest[index] != index:
            index = earliest[index]
        return index

    seen: dict[str, int] = {}
    for index, hashes in enumerate(zip(files, volumes, strict=True)):
        for name in hashes:
            if name is not None:
                first, later = sorted((root(seen.setdefault(name, index)), root(index)))
                earliest[later] = first
    groups = defaultdict(list)
    for index in range(len(files)):
        groups[root(index)].append(index)
    return [members for members in groups.values() if len(members) > 1]
