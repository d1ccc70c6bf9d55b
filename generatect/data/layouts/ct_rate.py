"""The layout of CT-RATE, plain or `_fixed`, with its tables of metadata, reports and labels."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from generatect.data.layouts.ct_rate_scans import patient_of, scan_of, volume_of
from generatect.data.layouts.ct_rate_tables import CTRateTables, read_tables
from generatect.data.layouts.listing import ENDING, list_volumes
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.errors import InputError
from generatect.text.templates import Report, find_template

PARTS = {"train": "train", "valid": "val"}
"""Folder of each part → side of the split."""

FIXED = "_fixed"


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A volume on disk.

    Attributes:
        volume: its name without the ending, such as "train_1_a_2".
        path: the file.
        split: side of the folder it lies in.
        is_fixed: it holds HU and has a true header.
        is_in_place: its name is made of four parts, the first three those of its folders.
    """

    volume: str
    path: Path
    split: str
    is_fixed: bool
    is_in_place: bool


class CTRateLayout:
    """`{train,valid}[_fixed]/PATIENT/SCAN/VOLUME.nii.gz` and the tables beside: see `Layout`.

    The plain folders hold stored values under a bad header: slope, intercept and spacing come from the metadata tables.
    The `_fixed` folders hold HU and a true header. Tables are found by their columns, under any name; lists of what is
    no chest are called `no_chest*.txt`. A patient on both sides, in the folders or in tables named train and valid,
    trains, and their validation volumes are left out.

    Args:
        root: folder that holds `train_fixed` and so on, or whose folder `dataset` does.
        tables: folder of the tables, or one of them; None looks below `root`.
        fixed: True reads the `_fixed` folders alone, False the plain ones; None takes `_fixed` where it exists.
        template: how a report becomes the prompt; see `generatect.text.templates`.
        labels: read the tables of abnormalities, if there are any; a volume without labels is then left out.

    Raises:
        InputError: no such folder, or none of those in it; an unknown template.
    """

    def __init__(
        self,
        *,
        root: str,
        tables: str | None = None,
        fixed: bool | None = None,
        template: str = "report",
        labels: bool = True,
    ) -> None:
        self.root, self.template, self.labels = Path(root).expanduser(), template, labels
        self.tables = self.root if tables is None else Path(tables).expanduser()
        self.write = find_template(template)
        if not self.root.is_dir():
            raise InputError(f"data.root={root}: not a folder; expected the folder of CT-RATE")
        self.folders = _choose_folders(self.root, fixed)

    def read(self) -> Manifest:
        """The volumes on disk, and those that the tables name and the disk lacks.

        Raises:
            InputError: a table that is needed is missing, or one is unusable; there is no volume.
        """
        files = [file for folder in self.folders for file in _list_files(folder)]
        if not files:
            where = ", ".join(folder.name for folder in self.folders)
            raise InputError(f"data.root={self.root}: no {ENDING} in PATIENT/SCAN below {where}; expected CT-RATE's")
        base = self.folders[0].parent
        said = read_tables(self.tables, {base / f"{part}{end}" for part in PARTS for end in ("", FIXED)}, self.labels)
        self._require_tables(said, files)
        sides = defaultdict(set, {patient: set(named) for patient, named in said.sides.items()})
        for file in files:
            sides[patient_of(file.volume)].add(file.split)
        records, left_out = list[Record](), list[LeftOut]()
        for file in files:
            no_chest, text = said.why_no_chest(file.volume), self._text(file.volume, said)
            reason = no_chest or _why_not(file, text, said, sides[patient_of(file.volume)])
            if reason is None:
                records.append(_record(file, text, said))
            else:
                left_out.append(LeftOut(file.path.name, reason, expected=no_chest is not None))
        for volume in sorted(said.named - {file.volume for file in files}):
            no_chest = said.why_no_chest(volume)
            left_out.append(LeftOut(f"{volume}{ENDING}", no_chest or "no file", expected=no_chest is not None))
        return Manifest(records, left_out)

    def _text(self, volume: str, said: CTRateTables) -> str:
        """The prompt; empty without a report."""
        findings, impression = said.reports.find(volume) or ("", "")
        person = said.metadata.of_volume.get(volume)
        age_years, sex = (person.age_years, person.sex) if person else (None, None)
        return self.write(Report(findings, impression, age_years=age_years, sex=sex))

    def _require_tables(self, said: CTRateTables, files: list[VolumeFile]) -> None:
        """Refuses an archive whose reports, or whose plain volumes' metadata, are nowhere."""
        if "reports" not in said.has:
            raise InputError(
                f"{self.tables}: no CSV with columns VolumeName and Findings_EN or Impressions_EN; "
                "name the folder of the tables with data.table=…"
            )
        if "metadata" not in said.has and not all(file.is_fixed for file in files):
            raise InputError(
                f"{self.tables}: no CSV with columns VolumeName, RescaleSlope, RescaleIntercept, XYSpacing, ZSpacing, "
                "which plain volumes need; name the folder of the tables with data.table=…, or get the _fixed volumes"
            )


def _why_not(file: VolumeFile, text: str, said: CTRateTables, sides: set[str]) -> str | None:
    """Why a volume on disk is left out; None for a usable one."""
    if not file.is_in_place:
        return "its name is not that of its folders, PATIENT/SCAN/SCAN_RECONSTRUCTION"
    if file.split == "val" and "train" in sides:
        return "its patient is in the training part, too"
    if not text:
        return "no report" if said.reports.find(file.volume) is None else "no report that the template can use"
    if said.labels.of_volume and said.labels.find(file.volume) is None:
        return "no row in a table of labels"
    for what, of_scans in (("reports", said.reports), ("rows of labels", said.labels)):
        if file.volume in of_scans.contradicted:
            return f"two different {what}"
    return None if file.is_fixed else _why_no_metadata(file.volume, said)


def _why_no_metadata(volume: str, said: CTRateTables) -> str | None:
    """Why a plain volume's HU and geometry are not known."""
    metadata = said.metadata.of_volume.get(volume)
    if metadata is None:
        return "no row in a table of metadata"
    if volume in said.metadata.contradicted:
        return "two different rows of metadata"
    if metadata.scaling is None:
        return "no usable RescaleSlope and RescaleIntercept in its row of metadata"
    return None if metadata.spacing_mm_zyx else "no usable XYSpacing and ZSpacing in its row of metadata"


def _record(file: VolumeFile, text: str, said: CTRateTables) -> Record:
    """A usable volume; what `_fixed` files say of themselves is true."""
    metadata = None if file.is_fixed else said.metadata.of_volume[file.volume]
    return Record(
        name=file.path.name,
        path=file.path,
        patient=patient_of(file.volume),
        text=text,
        labels=said.labels.find(file.volume),
        split=file.split,
        metadata=metadata and metadata.scaling,
        spacing_mm_zyx=metadata and metadata.spacing_mm_zyx,
    )


def _choose_folders(root: Path, fixed: bool | None) -> list[Path]:
    """The folder of each part: `_fixed` before plain unless told."""
    suffixes = {None: (FIXED, ""), True: (FIXED,), False: ("",)}[fixed]
    for base in (root, root / "dataset"):
        found = [[base / f"{part}{end}" for end in suffixes if (base / f"{part}{end}").is_dir()] for part in PARTS]
        if any(found):
            return [folders[0] for folders in found if folders]
    wanted = " or ".join(f"{part}{end}" for part in PARTS for end in suffixes)
    raise InputError(f"data.root={root}: no folder {wanted} in it; expected CT-RATE as it is downloaded")


def _list_files(folder: Path) -> list[VolumeFile]:
    """Volumes in one of the four folders."""
    is_fixed = folder.name.endswith(FIXED)
    split = PARTS[folder.name.removesuffix(FIXED)]
    files = list[VolumeFile]()
    for patient, scan, name in list_volumes(folder):
        volume = volume_of(name)
        is_in_place = volume.count("_") == 3 and (patient_of(volume), scan_of(volume)) == (patient, scan)
        files.append(VolumeFile(volume, folder / patient / scan / name, split, is_fixed, is_in_place))
    return files
