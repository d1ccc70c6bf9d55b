"""Scans below a path, and where what is made of them may go."""

from pathlib import Path

from generatect.ct.dicom import list_series
from generatect.ct.volume_files import files_below, is_volume_file, without_ending
from generatect.errors import InputError


def find_volumes(path: Path, closed: list[InputError] | None = None) -> list[tuple[Path, str]]:
    """Scans and the names of their results, relative and without ending.

    A folder is searched for NIfTI files, linked folders included; one that holds none, but DICOM, is itself one scan.

    Args:
        path: file or folder.
        closed: takes the subfolders that cannot be listed; None refuses them.

    Raises:
        InputError: no such path, or neither in the folder.
    """
    if path.is_file():
        return [(path, without_ending(path.name))]
    if not path.is_dir():
        raise InputError(f"input={path}: no such file or folder; name a NIfTI (.nii, .nii.gz) or a folder of them")
    found = [file for file in files_below(path, closed=closed) if is_volume_file(file.name)]
    if not found and list_series(path):
        return [(path, path.resolve().name)]
    if not found:
        raise InputError(f"input={path}: no .nii or .nii.gz in this folder, and no DICOM")
    return [(file, str(file.relative_to(path).with_name(without_ending(file.name)))) for file in found]


def refuse_overwriting(found: list[tuple[Path, str]], output: Path) -> None:
    """Checks, before any work, that every result has a place of its own and none is the place of a scan.

    A result is three files beside each other, so its place is a path without ending: `a.nii` and `a.nii.gz` share one,
    and the `.json` or `.png` next to a scan may be somebody's, too.

    Raises:
        InputError: naming the scan, and the other one or the output.
    """
    scans: dict[Path, Path] = {}
    for path, _ in found:
        for real in (path.resolve(), path.parent.resolve() / path.name):  # what a link points to, and the link
            scans[real.with_name(without_ending(real.name))] = path
    seen: dict[str, Path] = {}
    for path, name in found:
        if name in seen:
            raise InputError(f"input={seen[name]} and {path}: both results would be named {name}; rename one")
        seen[name] = path
        place = (output / name).parent.resolve() / Path(name).name
        if place in scans:
            raise InputError(f"output={output}: results would lie upon the scan {scans[place]}; choose another folder")
