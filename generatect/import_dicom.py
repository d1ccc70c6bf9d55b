"""`python -m generatect.import_dicom input=FOLDER output=DIR`: every CT series of a folder as a NIfTI, and a table."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from generatect.config.command import run_command
from generatect.ct.dicom import read_stack
from generatect.ct.dicom_series import Series, files_below, find_series
from generatect.ct.dicom_stack import stack_slices
from generatect.ct.nifti import write_nifti
from generatect.data.guarded import run_guarded
from generatect.data.rows import read_rows
from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.progress import Progress, bars

COLUMNS = ("volume", "patient", "age", "sex", "text")
MAX_FILES = 5_000_000


def import_dicom(*, input: str, output: str, memory_gb: float, timeout_s: float) -> None:
    """Writes each axial CT series as int16 HU, named by a hash of its UID, and lists it in volumes.csv.

    Of the tags only geometry, HU, age and sex arrive there, and a hash of the PatientID. The column text is left to
    fill in; then `data=folder data.root=DIR data.table=DIR/volumes.csv` trains on it. Run again, the command skips
    the series that are there and keeps what the table says; refused.csv is written anew.

    Args:
        input: a folder, searched with its subfolders.
        output: folder of the results.
        memory_gb: memory that reading one series may take.
        timeout_s: seconds that it may take.

    Raises:
        InputError: the folders cannot be used, or no series could be imported.
    """
    source = Path(input).expanduser()
    files = files_below(source, MAX_FILES)
    folder = writable_folder(output)
    header, rows = _table(folder / "volumes.csv")
    refused, num_there = list[tuple[str, str, str]](), 0
    with bars() as show:
        found, damaged = find_series(_shown(files, show))
        if not found and not damaged:
            raise InputError(f"input={source}: no DICOM among {len(files)} files; expected the slices of CT series")
        for index, series in enumerate(found):
            path = folder / f"{_name(series, source)}.nii.gz"
            num_there += path.exists()
            try:
                if not path.exists():
                    _import(series, path, memory_gb, timeout_s)
            except InputError as error:
                refused.append((series.uid, str(series.num_slices), str(error)))
            else:
                rows.setdefault(path.name, _row(series, path, header))
            show("series", index + 1, len(found))
    refused += [("", "", str(error)) for error in damaged]
    write_csv(folder / "volumes.csv", header, [[row[column] for column in header] for row in rows.values()])
    write_csv(folder / "refused.csv", ("series", "slices", "reason"), refused)
    for _, _, reason in refused:
        print(f"refused {reason}")
    num_imported = len(found) + len(damaged) - len(refused)
    if not num_imported:
        raise InputError(f"input={source}: none of {len(refused)} series or files is a CT to import; {refused[0][2]}")
    print(f"{num_imported} series imported ({num_there} of them before), {len(refused)} refused")
    print(f"wrote {folder / 'volumes.csv'} {folder / 'refused.csv'}")


def _import(series: Series, path: Path, memory_gb: float, timeout_s: float) -> None:
    stack = stack_slices(series)
    memory_bytes = int(memory_gb * 1e9)
    volume = run_guarded(read_stack, stack, name=stack.folder, memory_bytes=memory_bytes, timeout_s=timeout_s)
    write_nifti(path, volume)


def _name(series: Series, source: Path) -> str:
    """The same tomorrow, and no patient's."""
    identity = series.uid or series.folder.relative_to(source).as_posix()
    return f"ct_{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _row(series: Series, path: Path, header: list[str]) -> dict[str, str]:
    """What the table says of a series; without a PatientID it is its own patient."""
    first = series.slices[0]
    patient = f"patient_{first.patient}" if first.patient else path.name.removesuffix(".nii.gz")
    known = {"volume": path.name, "patient": patient, "age": first.age, "sex": first.sex}
    return {column: known.get(column, "") for column in header}


def _table(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Columns and rows of the table of an earlier run, by volume, with all that was added to them."""
    if not path.exists():
        return list(COLUMNS), {}
    header, rows = read_rows(path, f"the table of an earlier import: {', '.join(COLUMNS)}")
    if "volume" not in header:
        raise InputError(
            f"{path}: no column 'volume'; expected the table of an earlier import, or choose another output"
        )
    return header, {row["volume"]: row for row in rows}


def _shown(files: list[Path], show: Progress) -> Iterator[Path]:
    for index, path in enumerate(files):
        yield path
        show("headers", index + 1, len(files))


if __name__ == "__main__":
    run_command("import_dicom", import_dicom)
