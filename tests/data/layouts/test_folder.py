"""A folder and its table: what is accepted, and what each mistake is answered with."""

import unicodedata

import numpy as np
import openpyxl
import pytest

from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.layouts.folder import FolderLayout
from generatect.data.manifest import LeftOut, Manifest
from generatect.data.safe_csv import write_csv
from generatect.data.table import read_table
from generatect.errors import InputError
from tests.dicom_writer import SHAPE, save, series_of, unique_hu

REPORT = "Small left pleural effusion."
VOLUMES = ("a.nii.gz", "sub/b.nii.gz", "c.nii")


@pytest.fixture
def folder(tmp_path):
    """Three volumes, one of them in a subfolder, and no table yet."""
    root = tmp_path / "volumes"
    (root / "sub").mkdir(parents=True)
    grid = Grid((4, 6, 6), (3.0, 2.0, 2.0))
    rng = np.random.default_rng(0)
    for name in VOLUMES:
        voxels = rng.integers(-1000, 1000, grid.shape_zyx).astype(np.int16)
        write_nifti(root / name, CTVolume(voxels, grid.affine()))
    return tmp_path


def table(folder, content: str | bytes):
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def layout_of(folder, content: str, **options) -> FolderLayout:
    return FolderLayout(root=str(folder / "volumes"), table=str(table(folder, content)), **options)


def read(folder, content: str, **options) -> Manifest:
    return layout_of(folder, content, **options).read()


def refusal(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert REPORT not in message
    return message


def test_pairs_of_a_folder(folder):
    content = (
        "volume,patient,text,age,Nodule\n"
        f'a.nii.gz,p1,{REPORT},61,1\nsub/b,p2,"Heart, normal.\nLungs clear.",44,0\nc,p1,Clear.,61,0\n'
    )
    pairs = ArchivePairs(layout=layout_of(folder, content, label_columns=["Nodule"]), hu_policy="already_hu")
    assert len(pairs) == 3
    assert [pairs.name(i) for i in range(3)] == ["a.nii.gz", "sub/b", "c"]
    assert [pairs.patient(i) for i in range(3)] == ["p1", "p2", "p1"]
    assert [pairs.split(i) for i in range(3)] == [None] * 3
    assert pairs.text(0) == REPORT
    assert pairs.text(1) == "Heart, normal.\nLungs clear."
    assert pairs.labels(0) == {"Nodule": 1}
    assert pairs.volume(2).spacing_mm_zyx == (3.0, 2.0, 2.0)
    preset = PhysicalPreset(num_slices=4, size=6, upscaled_size=12)
    assert pairs.model_input(1, preset).shape == (1, 4, 6, 6)
    assert pairs.model_input(1, preset, upscaled=True).shape == (1, 4, 12, 12)


def test_a_folder_of_dicom_is_a_volume(folder):
    save(folder / "volumes" / "series" / "one", series_of())
    (folder / "volumes" / "empty").mkdir()
    content = "volume,patient,text\nseries/one,p1,Clear.\na,p2,Clear.\n"
    pairs = ArchivePairs(layout=layout_of(folder, content))
    volume, decision = pairs.read(0)
    assert volume.shape_zyx == SHAPE
    assert np.array_equal(np.sort(volume.voxels_hu, axis=None), np.sort(unique_hu(), axis=None))
    assert decision.policy == "header"
    before = pairs.fingerprint(0)
    (folder / "volumes" / "series" / "one" / "000.dcm").unlink()
    assert pairs.fingerprint(0) != before
    assert "'empty' (row 1)" in refusal(read, folder, "volume,patient,text\nempty,p,x\n")


def test_missing_volumes_are_counted_and_the_first_is_named(folder):
    message = refusal(read, folder, "volume,patient,text\na.nii.gz,p,x\nnot_here,p,x\nnor_here,p,x\n")
    assert "2 of 3 volumes" in message
    assert "'not_here' (row 2)" in message
    assert "is the file of row 1" in refusal(read, folder, "volume,patient,text\na,p,x\na.nii.gz,p,x\n")
    for outside in ("../table", "/etc/passwd"):
        assert "below" in refusal(read, folder, f"volume,patient,text\n{outside},p,x\n")
    assert "root=" in refusal(FolderLayout, root=str(folder / "absent"), table="t.csv")


def test_a_missing_report_ends_it_or_is_left_out(folder):
    content = f"volume,patient,text\na,p,{REPORT}\nsub/b,p,Not given.\nnot_here,p,nan\n"
    assert "row 2: empty report" in refusal(read, folder, content)
    found = read(folder, content, missing_text="leave_out")
    assert [record.name for record in found.records] == ["a"]
    assert found.left_out == [LeftOut("sub/b", "no report"), LeftOut("not_here", "no report")]
    assert "missing_text=skip" in refusal(read, folder, content, missing_text="skip")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (f"a,p,{REPORT},0\na,p,{REPORT},0\n", "row 2: volume 'a' is already in row 1"),
        (f",p,{REPORT},0\n", "row 1: empty volume"),
        (f"a,,{REPORT},0\n", "row 1: empty patient"),
        (f"a,p,{REPORT},3\n", "row 1: Nodule='3'"),
    ],
)
def test_only_missing_reports_are_left_out(folder, rows, reason):
    """Everything else has no right answer that could be guessed."""
    options = {"label_columns": ["Nodule"], "missing_text": "leave_out"}
    assert reason in refusal(read, folder, "volume,patient,text,Nodule\n" + rows, **options)


def test_an_archive_without_a_report_is_refused(folder):
    layout = layout_of(folder, "volume,patient,text\na,p,nan\nc,p,\n", missing_text="leave_out")
    assert "all 2 are left out (2: no report)" in refusal(ArchivePairs, layout=layout)


def test_a_table_may_say_the_side(folder):
    found = read(folder, "volume,patient,text,split\na,p,x,train\nsub/b,q,x,val\nc,r,x,\n")
    assert [record.split for record in found.records] == ["train", "val", None]
    message = refusal(read, folder, f"volume,patient,text,split\na,p,x,{REPORT}\n")
    assert "row 1: column split" in message


def test_a_workbook_says_the_same_as_a_csv(folder):
    rows = [["volume", "patient", "findings", "impression"], ["a", 7, "Effusion.", REPORT], ["c", 8, "Clear.", "None."]]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "table.xlsx")
    content = "".join(",".join(map(str, row)) + "\n" for row in rows)
    of_book = FolderLayout(root=str(folder / "volumes"), table=str(folder / "table.xlsx"), template="impression")
    assert "row 2: empty report" in refusal(of_book.read)
    of_book.template = "report"
    assert of_book.read() == read(folder, content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_windows_line_ends_do_not_matter(folder, encoding, end):
    lines = ["volume, patient ,text", f"a,p1,{REPORT}", "", "b,p2,Übersicht."]
    rows = read_table(table(folder, end.join(lines).encode(encoding)))
    assert [(row.number, row.volume, row.patient, row.text) for row in rows] == [
        (1, "a", "p1", REPORT),
        (2, "b", "p2", "Übersicht."),
    ]
    assert rows[0].labels is None


def test_findings_and_impression_stand_in_for_text(folder):
    content = "volume,patient,findings,impression\na,p,Opacity.,Pneumonia.\nb,p,Not given.,Clear.\n"
    assert [row.text for row in read_table(table(folder, content))] == ["Opacity. Pneumonia.", "Clear."]
    assert read_table(table(folder, content), text_column="impression")[0].text == "Pneumonia."
    assert "no column 'report'" in refusal(read_table, table(folder, content), text_column="report")


def test_a_volume_may_be_written_as_windows_does_or_as_its_whole_path(folder):
    (folder / "linked").symlink_to(folder / "volumes")
    rows = [f"{folder / 'volumes' / 'a.nii.gz'},p,x", "sub\\b,q,y", f"{folder / 'volumes' / 'c'},r,z"]
    records = read(folder, "\n".join(["volume,patient,text", *rows])).records
    assert [record.name for record in records] == ["a.nii.gz", "sub/b", "c"]
    assert [record.path for record in records] == [folder / "volumes" / name for name in VOLUMES]
    content = f"volume,patient,text\n{folder / 'volumes' / 'a'},p,x\n"
    through_link = FolderLayout(root=str(folder / "linked"), table=str(table(folder, content)))
    assert [record.name for record in through_link.read().records] == ["a"]
    for outside in ("/etc/passwd", "../volumes/a", "sub/../../x", f"{folder}/volumes/../x"):
        assert "expected a path below" in refusal(read, folder, f"volume,patient,text\n{outside},p,x\n")


def test_a_table_of_ours_is_read_as_it_was_meant(folder):
    """Names and reports that a spreadsheet would take for formulas are written with an apostrophe."""
    (folder / "volumes" / "a.nii.gz").rename(folder / "volumes" / "-a.nii.gz")
    write_csv(folder / "table.csv", ("volume", "patient", "text"), [("-a.nii.gz", "=p", "- Nodule.\n- Effusion.")])
    (record,) = FolderLayout(root=str(folder / "volumes"), table=str(folder / "table.csv")).read().records
    assert (record.name, record.patient, record.text) == ("-a.nii.gz", "=p", "- Nodule.\n- Effusion.")


def test_a_backslash_in_a_file_s_own_name_is_no_folder(folder):
    (folder / "volumes" / "a.nii.gz").rename(folder / "volumes" / "sub\\b.nii.gz")
    (record,) = read(folder, "volume,patient,text\nsub\\b,p,x\n").records
    assert record.path.name == "sub\\b.nii.gz"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("volume,patient,text\n", "no rows"),
        ("volume,text\na,x\n", "no column 'patient'"),
        ("patient,text\np,x\n", "no column 'volume'"),
        ("volume,patient\na,p\n", "no column 'text'"),
        ("volume,patient,text,text\na,p,x,x\n", "occurs twice"),
        (f"volume,patient,text\na,p,{REPORT}\na,p,{REPORT}\n", "row 2: volume 'a' is already in row 1"),
        (f"volume,patient,text\na,p,{REPORT}\nb,p,   \n", "row 2: empty report (text) for volume 'b'"),
        ("volume,patient,text\na,p,Not given.\n", "row 1: empty report"),
        ("volume,patient,text\n,p,x\n", "row 1: empty volume"),
        ("volume,patient,text\na,,x\n", "row 1: empty patient"),
        (f"volume,patient,text\na,p,{REPORT},and more\n", "row 1: 4 cells, expected 3"),
        (b"volume,patient,text\na,p,\xff\n", "not UTF-8"),
        ('volume,patient,text\na,p,"open\n', "not a CSV"),
    ],
)
def test_each_mistake_in_a_table_has_its_line(folder, content, reason):
    path = table(folder, content)
    message = refusal(read_table, path)
    assert message.startswith(str(path))
    assert reason in message


def test_labels_are_zero_or_one(folder):
    assert "data.label_columns: is one text" in refusal(
        layout_of, folder, "volume,patient,text\n", label_columns="Nodule"
    )
    path = table(folder, "volume,patient,text,Nodule\na,p,x,1.0\nb,p,x,2\n")
    assert "row 2: Nodule='2'" in refusal(read_table, path, label_columns=["Nodule"])
    assert "no column 'Mass'" in refusal(read_table, path, label_columns=["Mass"])
    assert "No such file" in refusal(read_table, folder / "absent.csv")


def test_a_volume_is_found_however_the_disk_spells_it(folder):
    """Letters taken apart, as macOS writes them, and endings in capitals."""
    apart, composed = (unicodedata.normalize(form, "Größe") for form in ("NFD", "NFC"))
    root = folder / "volumes"
    (root / apart).mkdir()
    (root / "c.nii").rename(root / apart / f"{apart}.nii")
    (root / "a.nii.gz").rename(root / "a.NII.GZ")
    rows = f"{composed}/{composed},p1,{REPORT}\na,p2,Clear.\n"
    paths = [record.path for record in read(folder, "volume,patient,text\n" + rows).records]
    assert paths == [root / apart / f"{apart}.nii", root / "a.NII.GZ"]
    rows += f"{apart}/{apart}.nii,p3,Clear.\n"
    assert "is the file of row 1" in refusal(read, folder, "volume,patient,text\n" + rows)
