"""`python -m generatect.import_dicom input=FOLDER output=DIR`: every CT series of a folder as a NIfTI, and a table."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from generatect.config.command import run_command
from generatect.ct.dicom import read_stack
from generatect.ct.dicom_series import Series, find_series, require_whole
from generatect.ct.dicom_stack import Stack, stack_slices
from generatect.ct.nifti import read_header, write_nifti
from generatect.ct.orientation import closest_order
from generatect.ct.volume_files import files_below
from generatect.data.guarded import run_guarded
from generatect.data.rows import read_rows
from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.progress import Progress, bars

COLUMNS = ("volume", "patient", "age", "sex", "text")


def import_dicom(*, input: str, output: str, memory_gb: float, timeout_s: float) -> None:
    """Writes each axial CT series as int16 HU, named by a hash of its UID, and lists it in volumes.csv.

    Of the tags only geometry, HU, age and sex arrive there, and a hash of the PatientID. The column text is left to
    fill in; then `data=folder data.root=DIR data.table=DIR/volumes.csv` trains on it. Run again, the command skips
    the series that are there and keeps what the table says; refused.csv is written anew. It lists what was passed over
    as no axial CT, such as a localiser, and what could not be imported; of the latter the exit code tells.

    Args:
        input: a folder, searched with its subfolders.
        output: folder of the results.
        memory_gb: memory that reading one series may take.
        timeout_s: seconds that it may take.

    Raises:
        InputError: the folders cannot be used, or a series or file could not be imported, after the others were.
    """
    source, closed = Path(input).expanduser(), list[InputError]()
    files = files_below(source, closed=closed)
    folder = writable_folder(output)
    header, rows = _table(folder / "volumes.csv")
    refused, num_there, num_passed_over = list[tuple[str, str, str]](), 0, 0
    with bars() as show:
        found, damaged = find_series(_shown(files, show))
        if not found and not damaged:
            raise InputError(f"input={source}: no DICOM among {len(files)} files; expected the slices of CT series")
        shared = Counter(series.uid for series in found if series.kind == "axial")
        for index, series in enumerate(found):
            path = folder / f"{_name(series, source, shared[series.uid] > 1)}.nii.gz"
            try:
                stack = stack_slices(series)
                require_whole(series, found, damaged)
                if path.exists():
                    _require_same(path, stack)
                    num_there += 1
                else:
                    _import(stack, path, memory_gb, timeout_s)
            except InputError as error:
                refused.append((series.uid, str(series.num_slices), str(error)))
                num_passed_over += series.kind != "axial"
            else:
                rows.setdefault(path.name, _row(series, path, header))
            show("series", index + 1, len(found))
    refused += [("", "", str(error)) for error in (*damaged.values(), *closed)]
    write_csv(folder / "volumes.csv", header, [[row[column] for column in header] for row in rows.values()])
    write_csv(folder / "refused.csv", ("series", "slices", "reason"), refused)
    for _, _, reason in refused:
        print(f"refused {reason}")
    num_imported = len(found) + len(damaged) + len(closed) - len(refused)
    if not num_imported:
        raise InputError(f"input={source}: none of {len(refused)} series or files is a CT to import; {refused[0][2]}")
    print(f"{num_imported} series imported ({num_there} of them before), {len(refused)} refused")
    print(f"wrote {folder / 'volumes.csv'} {folder / 'refused.csv'}")
    if num_failed := len(refused) - num_passed_over:
        raise InputError(
            f"input={source}: {num_failed} series or files could not be imported, each listed above and in "
            f"{folder / 'refused.csv'}; the others are done"
        )


def _require_same(path: Path, stack: Stack) -> None:
    """Refuses to take for the series what an earlier run made of other slices."""
    there, shape = read_header(path), (len(stack.slices), stack.slices[0].rows, stack.slices[0].columns)
    order, own = closest_order(there.affine), closest_order(stack.affine)
    i, j, k = there.shape[:3]
    shape_there = tuple(there.shape[axis] for axis in order.stored_axis)
    affine_there, affine = order.canonical_affine(there.affine, (i, j, k)), own.canonical_affine(stack.affine, shape)
    if shape_there != tuple(shape[axis] for axis in own.stored_axis) or not np.allclose(
        affine_there, affine, atol=0.01
    ):
        raise InputError(
            f"{path}: is there, made of other slices than those in {stack.folder} with the same SeriesInstanceUID; "
            "remove it to import these, or choose another output"
        )


def _import(stack: Stack, path: Path, memory_gb: float, timeout_s: float) -> None:
    memory_bytes = int(memory_gb * 1e9)
    volume = run_guarded(read_stack, stack, name=stack.folder, memory_bytes=memory_bytes, timeout_s=timeout_s)
    write_nifti(path, volume)


def _name(series: Series, source: Path, is_shared: bool) -> str:
    """The same tomorrow, and no patient's; where several scans share a UID, the folder tells them apart."""
    folder = series.folder.relative_to(source).as_posix()
    identity = f"{series.uid} {series.slices[0].patient} {folder}" if is_shared else series.uid or folder
    return f"ct_{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _row(series: Series, path: Path, header: list[str]) -> dict[str, str]:
    """What the table says of a series; without a PatientID it is its own patient."""
    first = series.slices[0]
    patient = f"patient_{first.patient}" if first.patient else path.name.removesuffix(".nii.gz")
    known = {"volume": path.name, "patient": patient, "age": first.age, "sex": first.sex}
    return {column: known.get(column, "") for column in header}


def _table(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Columns and rows of the table of an earlier run, by volume, with all that was added to them.

    Raises:
        InputError: it is another table, or has two rows for a volume, of which writing it anew would lose one.
    """
    if not path.exists():
        return list(COLUMNS), {}
    header, rows = read_rows(path, f"the table of an earlier import: {', '.join(COLUMNS)}")
    if "volume" not in header:
        raise InputError(
            f"{path}: no column 'volume'; expected the table of an earlier import, or choose another output"
        )
    found = dict[str, dict[str, str]]()
    for number, row in enumerate(rows, start=1):
        if row["volume"] in found:
            raise InputError(f"{path} row {number}: volume {row['volume']!r} is in a row above, too; remove one")
        found[row["volume"]] = row
    return header, found


def _shown(files: list[Path], show: Progress) -> Iterator[Path]:
    for index, path in enumerate(files):
        yield path
        show("headers", index + 1, len(files))


if __name__ == "__main__":
    run_command("import_dicom", import_dicom)
