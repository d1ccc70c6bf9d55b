"""The forms of the table and the page: right numbers, nothing fetched, every text escaped, pictures that tell sides."""

import base64
import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.evaluation.charts import LABEL_WIDTH, Whisker, whiskers
from generatect.evaluation.film import GAP_PX, PX_PER_MM, difference_film, film
from generatect.evaluation.gallery import Exhibit
from generatect.evaluation.phantom_findings import FindingRow, ShownPair, measure_findings, measure_pairs
from generatect.evaluation.report import Report, as_html
from generatect.evaluation.result import DetectorRecord, Floor, Result
from generatect.evaluation.rows import Row, caption, number, require_comparable
from generatect.evaluation.table_forms import as_csv, as_latex
from generatect.evaluation.volume_folder import VolumeFolder, key_of, numbered
from generatect.metrics.auroc import Auroc
from generatect.phantom.counterfactual import counterfactuals
from generatect.phantom.detectors import Detectors
from generatect.phantom.pairs import PhantomPairs

HOSTILE = '<script src="https://example.org/x.js"></script> & 5 % "quoted"'


def result(metric: str, value: float, **changes) -> Result:
    fields = {
        "metric": metric,
        "value": value,
        "preset": "robust",
        "num_real": 8,
        "num_fake": 4,
        "fake_files_sha256": "f" * 64,
        "interval": (value * 0.9, value * 1.1),
        "floor": Floor(value / 2, (value / 4, value), 4, "real against real"),
        "detector": DetectorRecord("random_net", "d" * 64, 168),
        "protocol": {"grid": None},
    }
    return Result(**fields | changes)


def row(method: str, fid: float, **changes) -> Row:
    return Row(method, "what", 48, "3D", True, {"fid": result("fid", fid, **changes), "fvd": result("fvd", 1886.8)})


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1886.8, "1,887"), (73.44, "73.4"), (4.816, "4.82"), (0.0321, "0.032"), (-0.0012, "-0.0012"), (0.0, "0.0")],
)
def test_numbers_have_the_digits_that_mean_something(value, expected):
    assert number(value) == expected


def test_a_spreadsheet_gets_every_digit():
    [first] = csv.DictReader(io.StringIO(as_csv([row("CT-ViT", 1 / 3)])))
    assert float(first["fid"]) == 1 / 3
    assert float(first["fid_high"]) == 1 / 3 * 1.1
    assert float(first["fvd_floor"]) == 1886.8 / 2
    assert first["clip_score"] == ""


def test_latex_has_as_many_cells_in_every_row_and_escapes_text():
    text = as_latex([row("A_B", 3.0), row("C", 4.0)], ["100 % of {these} are #1 & more"])
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in lines} == {6}
    assert r"100 \% of \{these\} are \#1 \& more" in text
    assert r"A\_B" in text
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")


def test_a_table_refuses_what_does_not_compare_but_not_other_resolutions():
    require_comparable([row("A", 1.0), row("B", 2.0, protocol={"grid": {"shape_zyx": [17, 192, 192]}})])
    for changes in ({"preset": "stylegan_v"}, {"num_fake": 5}, {"detector": DetectorRecord("other", "e" * 64, 168)}):
        with pytest.raises(InputError, match="do not belong in one table"):
            require_comparable([row("A", 1.0), row("B", 2.0, **changes)])


def test_the_caption_says_n_floor_detector_notes_and_what_is_absent():
    rows = [row("A", 1.0, notes=("17 prompts cut",)), row("B", 2.0)]
    lines = "\n".join(caption(rows, ["PHANTOM"], {"clip_score": "no model was named"}))
    for expected in (
        "PHANTOM",
        "Preset robust: 4 volumes of each method against 8 real ones",
        "Floor: 4 real volumes against 4 others",
        "FID through random_net (dddddddddddd); lower is better.",
        "CLIP –: no model was named.",
        "FID: 17 prompts cut.",
    ):
        assert expected in lines


class Page(HTMLParser):
    """Collects addresses and tags, and checks that they close."""

    VOID = ("meta", "img", "line", "rect", "circle", "polyline", "polygon", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.tags, self.stack = [], set(), []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag


@pytest.fixture
def volume(tmp_path):
    """A volume with a dense ball on the patient's right, in a file."""
    voxels_hu = np.full((6, 20, 20), -800, dtype=np.int16)
    voxels_hu[2:4, 8:12, 3:7] = 400
    ct = CTVolume(voxels_hu, Grid((6, 20, 20), (10.0, 10.0, 10.0)).affine())
    write_nifti(tmp_path / "volume.nii.gz", ct)
    return ct, tmp_path / "volume.nii.gz"


def test_the_page_needs_nothing_else_and_runs_nothing(volume, tmp_path):
    _, path = volume
    write_nifti(tmp_path / "other.nii.gz", CTVolume(volume[0].voxels_hu[::-1].copy(), volume[0].affine))
    pair = counterfactuals(1, 0)[-1]
    shares = np.full(2001, 1 / 2001)
    report = Report(
        rows=[row(HOSTILE, 12.0), row("B", 20.0)],
        caption=[HOSTILE],
        notices=[HOSTILE],
        facts={"Weights": HOSTILE},
        histograms={HOSTILE: (shares, shares)},
        findings=[FindingRow(HOSTILE, Auroc(0.9, 0.8, 1.0, 5, 5), None, None)],
        no_findings="",
        pairs=measure_pairs([pair], [(path, tmp_path / "other.nii.gz")], None),
        exhibits=[Exhibit("a", HOSTILE, {HOSTILE: path})],
        settings={"prompt": HOSTILE},
        hashes={HOSTILE: "0"},
    )
    text = as_html(report)
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe", "object", "form"}
    assert "default-src 'none'" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert text.count("&lt;script") >= 10
    assert "12.0" in text
    assert "[10.8, 13.2]" in text


def test_without_a_classifier_the_page_says_why():
    page = as_html(Report([row("A", 1.0)], [], [], {}, {}, [], "nobody can tell", [], [], {}, {}))
    assert "Not measured: nobody can tell." in page


def pixels(image: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")).astype(int)


def test_planes_have_true_proportions_and_the_patients_right_at_the_left(volume):
    ct, _ = volume
    shown = pixels(film(ct, (3, 10, 5), ("mediastinum",)))
    side, height = round(200 * PX_PER_MM), round(60 * PX_PER_MM)
    assert shown.shape[:2] == (side, 3 * side + 2 * GAP_PX)
    axial, coronal = shown[:, :side], shown[:, side + GAP_PX : 2 * side + GAP_PX]
    assert axial[side // 2, side // 4].min() > 200  # the ball
    assert axial[side // 2, 3 * side // 4].max() < 60
    rows = np.flatnonzero(coronal.max(axis=(1, 2)) > 200)
    assert rows.min() >= (side - height) // 2
    assert rows.max() < (side + height) // 2


def test_a_difference_is_orange_where_denser_and_blue_where_less_dense(volume):
    ct, _ = volume
    without = CTVolume(np.full_like(ct.voxels_hu, -800), ct.affine)
    side = round(200 * PX_PER_MM)
    for first, second, channel in ((ct, without, 0), (without, ct, 2)):
        red, _, blue = pixels(difference_film(first, second, (3, 10, 5)))[side // 2, side // 4]
        assert (red > blue + 60) if channel == 0 else (blue > red + 60)
    nothing = pixels(difference_film(ct, ct, (3, 10, 5)))[:, 20:side]
    assert np.abs(nothing[..., 0] - nothing[..., 2]).max() < 30


def test_a_chart_puts_equal_ratios_at_equal_distances():
    marks = [Whisker(str(value), value, None, "") for value in (1.0, 10.0, 100.0)]
    chart = whiskers(marks, low=1.0, high=100.0, logarithmic=True)
    x = [float(place) for place in re.findall(r'<circle class="value" cx="([\d.]+)"', chart)]
    assert x[0] == LABEL_WIDTH
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_a_volume_is_made_once_and_again_if_damaged_or_of_another_key(tmp_path, volume):
    ct, _ = volume
    folder, made = VolumeFolder(tmp_path / "kind", "a notice", {"ctvit": "0"}), []

    def make() -> CTVolume:
        made.append(1)
        return ct

    path = folder.keep("0000-a", key_of(1), "a prompt", make)
    folder.keep("0000-a", key_of(1), "a prompt", make)
    assert len(made) == 1
    path.write_bytes(path.read_bytes()[:-8])
    folder.keep("0000-a", key_of(1), "a prompt", make)
    folder.keep("0000-a", key_of(2), "a prompt", make)
    assert len(made) == 3
    (tmp_path / "kind" / "scan.nii.gz").touch()
    folder.keep_only(["0001-b"])
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["scan.nii.gz"]
    assert numbered(7, "../a b") == "0007-_a_b"


def test_counterfactual_prompts_differ_in_one_sentence_alone():
    pairs = counterfactuals(2, 3, "heldout")
    assert len(pairs) == 2 * 13
    assert pairs == counterfactuals(2, 3, "heldout")
    for pair in pairs:
        assert pair.with_finding.removeprefix(pair.start + pair.named) == pair.without_finding.removeprefix(
            pair.start + pair.denied
        )
        if pair.side:
            assert pair.side in pair.named
            assert {"left": "right", "right": "left"}[pair.side] not in pair.named


def test_volumes_that_are_the_phantoms_themselves_obey(tmp_path):
    grid = Grid((17, 24, 24), (301.5 / 17, 16.0, 16.0))
    pairs = PhantomPairs(num=24, seed=907, prevalence=0.5, native_shape_zyx=grid.shape_zyx, noise_hu=0.0)
    paths = [tmp_path / f"{index}.nii.gz" for index in range(len(pairs))]
    for index, path in enumerate(paths):
        write_nifti(path, pairs.volume(index))
    detectors = Detectors.fit(pairs.native_grid, num=150, noise_hu=0.0)
    rows = {item.finding: item for item in measure_findings(detectors, pairs, range(24), paths, paths)}
    effusion = rows["Pleural effusion"]
    assert effusion.generated is not None
    assert effusion.real is not None
    assert effusion.shuffled is not None
    assert effusion.generated.value > 0.9
    assert effusion.real.num_positive == effusion.generated.num_positive  # what is there is always named
    assert effusion.shuffled.value < effusion.generated.value
    assert "Pleural effusion, left" in rows


def test_a_pair_knows_where_it_changed(volume, tmp_path):
    ct, path = volume
    write_nifti(tmp_path / "without.nii.gz", _empty(ct))
    pair = next(item for item in counterfactuals(1, 0) if item.label == "Consolidation, right")
    [shown] = measure_pairs([pair], [(path, tmp_path / "without.nii.gz")], None)
    assert isinstance(shown, ShownPair)
    assert shown.change.share_on_side == 1.0
    assert shown.change.centre_mm_zyx is not None
    assert shown.change.centre_mm_zyx[2] == pytest.approx(-50.0)
    assert shown.is_seen is None


def _empty(ct: CTVolume) -> CTVolume:
    """The volume without its ball, but for one voxel far away: a file of one value is no image."""
    voxels_hu = np.full_like(ct.voxels_hu, -800)
    voxels_hu[0, 0, 0] = -790
    return CTVolume(voxels_hu, ct.affine)
