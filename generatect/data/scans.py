"""Scans below a path, and where what is made of them may go."""

from pathlib import Path

from generatect.ct.dicom import list_series
from generatect.errors import InputError

SUFFIXES = (".nii", ".nii.gz")


def find_volumes(path: Path) -> list[tuple[Path, str]]:
    """Scans and the names of their results, relative and without suffix.

    A folder is searched for NIfTI files; one that holds none, but DICOM, is itself one scan.

    Raises:
        InputError: no such path, or neither in the folder.
    """
    if path.is_file():
        return [(path, _stem(path.name))]
    if not path.is_dir():
        raise InputError(f"input={path}: no such file or folder; name a NIfTI (.nii, .nii.gz) or a folder of them")
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))
    if not found and list_series(path):
        return [(path, path.resolve().name)]
    if not found:
        raise InputError(f"input={path}: no .nii or .nii.gz in this folder, and no DICOM")
    return [(file, str(file.relative_to(path).with_name(_stem(file.name)))) for file in found]


def refuse_overwriting(found: list[tuple[Path, str]], output: Path) -> None:
    """Checks, before any work, that every result has a place of its own and none is the place of a scan.

    A result is three files beside each other, so its place is a path without suffix: `a.nii` and `a.nii.gz` share one,
    and the `.json` or `.png` next to a scan may be somebody's, too.

    Raises:
        InputError: naming the scan, and the other one or the output.
    """
    scans: dict[Path, Path] = {}
    for path, _ in found:
        for real in (path.resolve(), path.parent.resolve() / path.name):  # what a link points to, and the link
            scans[real.with_name(_stem(real.name))] = path
    seen: dict[str, Path] = {}
    for path, name in found:
        if name in seen:
            raise InputError(f"input={seen[name]} and {path}: both results would be named {name}; rename one")
        seen[name] = path
        place = (output / name).parent.resolve() / Path(name).name
        if place in scans:
            raise InputError(f"output={output}: results would lie upon the scan {scans[place]}; choose another folder")


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".nii")
