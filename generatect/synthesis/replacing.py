"""What lies in a folder already and is not what is asked for: refused, or moved aside where somebody says so."""

import contextlib
import gzip
import itertools
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from generatect.ct.dicom_export import remove_series
from generatect.errors import InputError
from generatect.files import temporary_prefix
from generatect.lock import is_held
from generatect.sidecar import DESCRIPTION, ENDINGS, TOKENS
from generatect.synthesis.dataset import DESCRIBING
from generatect.synthesis.kept import REJECTED, differences, read_record
from generatect.synthesis.manifest import MANIFEST
from generatect.synthesis.work import Shard, WorkItem

Request = Callable[[WorkItem], Mapping[str, Any]]

WORDS = {
    "tokens": "settings of the tokens",
    "upscale": "settings of the slices",
    "weights_sha256": "weights",
    "classifier_sha256": "classifier",
    "lowres": "low-resolution volume",
}
_DESCRIPTION_AT = slice(148, 228)
"""Where a NIfTI-1 header describes itself."""
_LOCK = re.compile(r"\.shard-(\d+)-of-(\d+)\.lock")


def refuse_replacing(folder: Path, work: Sequence[WorkItem], request: Request) -> None:
    """Refuses work whose files would take the place of others: of another prompt, seed, setting or model.

    What an interrupted process of ours left, and a volume that only lacks its DICOM series, may be replaced.

    Args:
        folder: where the volumes go; need not exist.
        work: all volumes to come.
        request: what decides each volume beside prompt and seed; see `made`.

    Raises:
        InputError: naming the first such file and what is other about it.
    """
    if found := in_the_way(folder, work, request):
        name, why = found[0]
        more = f", and {len(found) - 1} more" if found[1:] else ""
        raise InputError(
            f"output={folder}: {name} is there already{more}: {why}; choose another output, or add fresh=true, which "
            "moves what is there aside"
        )


def in_the_way(folder: Path, work: Sequence[WorkItem], request: Request) -> list[tuple[str, str]]:
    """Names of volumes whose files must not be replaced, each with what is other about them; see `refuse_replacing`."""
    return [(item.prompt.name, why) for item in work if (why := _why_not(folder, item, request(item)))]


def move_aside(folder: Path, names: Sequence[str], others: Sequence[str] = ()) -> Path | None:
    """Moves all files of some volumes to a new folder beside theirs, the first of `FOLDER-before-N` that is free.

    Not into a folder below, in which whoever searches the dataset would find them.

    Args:
        folder: of the volumes.
        names: of the volumes.
        others: names of files that go first: what describes the volumes must not outlive them.

    Returns:
        Where they are now; None without names and others.

    Raises:
        InputError: nothing can be written beside the folder.
    """
    if not names and not others:
        return None
    try:
        aside = _new_folder(folder)
        for name in others:
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder / name, aside / name)
        for name in names:
            for ending in ("", TOKENS, ".nii.gz", ".png", ".json"):  # a move that was cut leaves what says whose it is
                path, target = folder / f"{name}{ending}", aside / f"{name}{ending}"
                target.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # not every volume has all of them
                    os.replace(path, target)
    except OSError as error:
        raise InputError(
            f"output={folder}: cannot move what is there aside ({error.strerror}); choose another output"
        ) from error
    return aside


def _new_folder(folder: Path) -> Path:
    for number in itertools.count(1):
        with contextlib.suppress(FileExistsError):
            aside = folder.resolve().with_name(f"{folder.resolve().name}-before-{number}")
            aside.mkdir()
            return aside
    raise AssertionError("numbers do not end")


def make_room(
    folder: Path, work: Sequence[WorkItem], request: Request, names: set[str] | None, *, is_dataset: bool
) -> Path | None:
    """Moves aside what `refuse_replacing`, `refuse_strangers` and `refuse_foreign` refuse; see `move_aside`.

    Of a dataset also what describes it: until the new one is finished, it would say other texts of the volumes there.
    """
    found = [name for name, _ in in_the_way(folder, work, request)] + strangers(folder, names)
    if not is_dataset:
        return move_aside(folder, found)
    return move_aside(folder, found, DESCRIBING if found else foreign(folder))


def refuse_foreign(folder: Path) -> None:
    """Refuses a folder with files of somebody's in the place of those that will describe the dataset.

    Args:
        folder: of the dataset; need not exist.

    Raises:
        InputError: naming the first.
    """
    if found := foreign(folder):
        raise InputError(
            f"output={folder}: {found[0]} is there already and belongs to no dataset that generate made, the new one's "
            "would be written over it; choose another output, or add fresh=true, which moves it aside"
        )


def foreign(folder: Path) -> list[str]:
    """Names of files where a dataset's own will be, in a folder without the manifest of one."""
    if (folder / MANIFEST).exists():
        return []
    return [name for name in DESCRIBING if (folder / name).exists()]


def refuse_strangers(folder: Path, names: set[str] | None) -> None:
    """Refuses a folder with volumes of no row of the table: they would be counted with the dataset.

    Args:
        folder: of the dataset; need not exist.
        names: of all volumes of the table; None: no table, and any may be there.

    Raises:
        InputError: naming the first.
    """
    if found := strangers(folder, names):
        count = f"{len(found)} volume{'s' * (len(found) != 1)}"
        raise InputError(
            f"output={folder}: {count} there, first {found[0]}, belong to no row of this table; a folder holds one "
            "dataset: choose another output, or add fresh=true, which moves them aside"
        )


def strangers(folder: Path, names: set[str] | None) -> list[str]:
    """Volumes with a sidecar of ours that are not among `names`; none without names."""
    if names is None:
        return []
    others = [path for path in sorted(folder.glob("*.json")) if path.stem not in names]
    return [path.stem for path in others if "volume_sha256" in (read_record(path) or {})]


def remove_volume(folder: Path, name: str) -> None:
    """Removes all files of one volume."""
    unwrite(folder, name)
    for ending in ENDINGS:
        (folder / f"{name}{ending}").unlink(missing_ok=True)


def unwrite(folder: Path, name: str) -> None:
    """Removes what says that a volume is whole, and all that the next one of this name may not bring along."""
    for ending in (".json", TOKENS):
        (folder / f"{name}{ending}").unlink(missing_ok=True)
    remove_series(folder / name)


def clear_unfinished(folder: Path, name: str) -> None:
    """Removes what a killed process left of a volume, and its rejection; no living process may work on it."""
    place = folder / name
    names = [place.name, *(f"{place.name}{ending}" for ending in (*ENDINGS, TOKENS, REJECTED))]
    begun = re.compile(rf"({'|'.join(re.escape(temporary_prefix(each)) for each in names)})\w{{8}}\.part")
    for part in place.parent.glob(".*.part"):
        if begun.fullmatch(part.name) and part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        elif begun.fullmatch(part.name):
            part.unlink(missing_ok=True)
    (folder / f"{name}{REJECTED}").unlink(missing_ok=True)


def refuse_other_shards(folder: Path, shard: Shard) -> None:
    """Refuses to cut up a table otherwise than processes do that work on it now: two would make one volume.

    Raises:
        InputError: naming the shard that is being worked on.
    """
    for path in sorted(folder.glob(".shard-*-of-*.lock")):
        found = _LOCK.fullmatch(path.name)
        if found and int(found[2]) != shard.count and is_held(path):
            raise InputError(
                f"shard.count={shard.count}: another process works on shard {found[1]} of {found[2]} in {folder}; "
                f"wait until it ends, or cut the table into {found[2]}, too"
            )


def _why_not(folder: Path, item: WorkItem, request: Mapping[str, Any]) -> str | None:
    """Why what lies under an item's name must not be replaced."""
    volume, sidecar = folder / f"{item.prompt.name}.nii.gz", folder / f"{item.prompt.name}.json"
    if sidecar.exists():
        record = read_record(sidecar)
        if record is None or "volume_sha256" not in record:
            return f"{sidecar.name} is no sidecar of a volume"
        other = [WORDS.get(key, key) for key in differences(record, item, request) if key != "dicom"]
        return f"made with another {' and '.join(other)}" if other else None
    if volume.exists() and not _is_own(volume):
        return f"{volume.name} was not written by generatect"
    picture = volume.with_name(f"{item.prompt.name}.png")
    return f"{picture.name} belongs to no volume" if picture.exists() and not volume.exists() else None


def _is_own(path: Path) -> bool:
    """Whether a volume says in its header that we wrote it."""
    try:
        with gzip.open(path) as file:
            return file.read(_DESCRIPTION_AT.stop)[_DESCRIPTION_AT].startswith(DESCRIPTION.encode())
    except (OSError, EOFError):
        return False
