"""A folder of volumes as the audit sees it: files, hashes of their content, and whose scans they are."""

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from generatect.ct.volume_files import ARRAY, files_below, is_volume_file, volume_name, without_ending
from generatect.data.fingerprint import fingerprint
from generatect.data.layouts.folder import paths_below
from generatect.data.rows import read_rows
from generatect.data.stamp import Stamp, stamp_of
from generatect.data.table import require_identifier
from generatect.errors import InputError
from generatect.evaluation.folder_prompts import TABLES

PATIENT, VOLUME = "patient", "volume"
DICOM_ENDING = ".dcm"


@dataclass(frozen=True)
class AuditedVolume:
    """One file.

    Attributes:
        path: NIfTI.
        name: its path below the folder, without suffix.
        content: hash of the file's content; see `fingerprint`.
        stamp: of the file, taken before its hash; see `stamp_of`.
        patient: whose scan it is, as the table says; without a table, every volume is a patient of its own.
    """

    path: Path
    name: str
    content: str
    stamp: Stamp
    patient: str


@dataclass(frozen=True)
class AuditedFolder:
    """The volumes of a folder, in the order of their names.

    Attributes:
        setting: "train", "generated" or "heldout".
        folder: where they lie.
        volumes: at least one.
        table: says whose they are; None where no table does.
    """

    setting: str
    folder: Path
    volumes: tuple[AuditedVolume, ...]
    table: Path | None

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.volumes)

    @property
    def patients(self) -> list[str]:
        """Whose each volume is."""
        return [volume.patient for volume in self.volumes]

    @property
    def sha256(self) -> str:
        """Hash of all names and contents."""
        lines = "".join(f"{volume.content}  {volume.name}\n" for volume in self.volumes)
        return hashlib.sha256(lines.encode()).hexdigest()


def read_audited(folder: str | Path, setting: str) -> AuditedFolder:
    """Lists the volumes of a folder and of those below it; no voxel is read.

    Patients come from the first of `reports.csv`, `prompts.csv` and `table.csv` in the folder that has columns volume
    and patient, as `data=folder` reads them. It may name more volumes than there are.

    Args:
        folder: searched for `.nii.gz` and `.nii`, linked folders included: a part of the training set would clear a
            model that copies the rest. Hidden files are passed over.
        setting: what named it, for messages.

    Raises:
        InputError: no such folder, no volume in it, scans that are DICOM or arrays, or a table without a row for a
                volume, or with two patients for one.
    """
    where = Path(folder).expanduser()
    if not where.is_dir():
        raise InputError(f"{setting}={folder}: no such folder; name one with .nii.gz volumes")
    there = files_below(where)
    files = [path for path in there if is_volume_file(path.name)]
    if not files:
        raise InputError(
            f"{setting}={folder}: no .nii.gz or .nii in this folder; name one with volumes (DICOM becomes NIfTI by "
            "generatect.import_dicom)"
        )
    own = {path.with_name(without_ending(path.name)) for path in files}  # where generate dicom=true puts slices
    slices = [path for path in there if path.suffix.lower() == DICOM_ENDING and path.parent not in own]
    arrays = [path for path in there if path.suffix == ARRAY and not path.name.startswith(".")]
    for others, kind, way in ((slices, "DICOM", " by generatect.import_dicom"), (arrays, ARRAY, "")):
        if others:
            raise InputError(
                f"{setting}={folder}: {len(others)} {kind} files, first {others[0].relative_to(where)}, would be left "
                f"out of the audit; make them NIfTI{way}, or move them away"
            )
    table, patients = _patients(where)
    volumes = []
    for path in files:
        name = volume_name(path.relative_to(where).as_posix())
        if table is not None and name not in patients:
            raise InputError(f"{table}: no row for volume {name}; add it, for the audit must know whose scan it is")
        stamp = stamp_of(path)
        volumes.append(AuditedVolume(path, name, fingerprint(path, ""), stamp, patients.get(name, name)))
    return AuditedFolder(setting, where, tuple(volumes), table)


def _patients(folder: Path) -> tuple[Path | None, dict[str, str]]:
    """The table that says it, and volume → patient."""
    for path in (folder / name for name in TABLES):
        if not path.is_file():
            continue
        header, rows = read_rows(path, "a table with columns 'volume' and 'patient'")
        if PATIENT not in header or VOLUME not in header:
            continue
        found = dict[str, str]()
        for number, row in enumerate(rows, start=1):
            if not row[PATIENT] or not row[VOLUME]:
                raise InputError(f"{path} row {number}: empty volume or patient; expected a name")
            require_identifier(row[PATIENT], f"{path} row {number}: {PATIENT}")
            patient = unicodedata.normalize("NFC", row[PATIENT])
            for volume in paths_below(folder, row[VOLUME]):
                if found.setdefault(volume_name(volume.as_posix()), patient) != patient:
                    raise InputError(
                        f"{path} row {number}: volume {row[VOLUME]!r} is another patient's in a row above; remove one"
                    )
        return path, found
    return None, {}
