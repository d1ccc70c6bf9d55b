"""The command finds the copies of a generator that knows its training set by heart, and none of an honest one."""

import csv
import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import find_weights
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.scan import Reading
from generatect.ct.volume import CTVolume
from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from generatect.privacy.copies import nearness, of_other_patients, p_values
from generatect.privacy.embedded import Embedder
from generatect.privacy.embedding import TokenizerEmbedding
from generatect.privacy.folder import AuditedVolume, read_audited
from generatect.privacy.pictures import closest
from generatect.privacy.space import Space
from generatect.privacy.study import Match
from tests.privacy.folders import NUM_GENERATED, NUM_HELDOUT, NUM_TRAIN, write_volumes


@pytest.fixture(scope="module")
def of_copies(command, folders, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("copies")
    ended = command("audit", *folders.settings(folders.copies, output, "num_pairs=3"))
    assert ended.code == 0, ended.err
    assert "Copies of training volumes" in ended.out
    return output


@pytest.fixture(scope="module")
def of_fresh(command, folders, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("fresh")
    ended = command("audit", *folders.settings(folders.fresh, output, "num_pairs=1"))
    assert ended.code == 0, ended.err
    assert "No sign of copying" in ended.out
    assert all(path.name.endswith(".nii.gz") for path in folders.fresh.iterdir())  # nothing is written there
    return output


def read(output: Path) -> dict:
    return json.loads((output / "audit.json").read_text(encoding="utf-8"))


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "matches.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_copies_are_flagged_and_their_originals_named(of_copies):
    found = read(of_copies)
    assert found["verdict"]["kind"] == "copies"
    assert found["copies"]["count"] >= 0.9 * NUM_GENERATED
    assert found["copies"]["num_confirmed"] >= 0.8 * NUM_GENERATED
    assert found["membership"]["interval"][0] > 0.5
    flagged = [row for row in rows(of_copies) if row["flagged"] == "1"]
    assert len(flagged) == found["copies"]["count"]
    assert all(row["nearest training volume"] == f"phantom-{31_000_000 + int(row['generated'])}" for row in flagged)


def test_an_honest_generator_is_left_alone(of_fresh):
    found = read(of_fresh)
    assert found["verdict"]["kind"] == "nothing found"
    assert found["copies"]["count"] <= 2
    assert found["copies"]["chance"] > 0.1
    low, high = found["membership"]["interval"]
    assert low < 0.5 < high
    assert found["membership"]["control"] == pytest.approx(0.5, abs=0.02)


def test_the_audit_finds_the_copies_that_it_plants(of_fresh):
    planted = read(of_fresh)["planted"]
    assert planted["num"] == NUM_TRAIN
    assert planted["value"] >= 0.9


def test_the_numbers_say_what_they_were_measured_on(of_copies, folders):
    found = read(of_copies)
    assert {name: folder["num"] for name, folder in found["folders"].items()} == {
        "train": NUM_TRAIN,
        "generated": NUM_GENERATED,
        "heldout": NUM_HELDOUT,
    }
    assert found["folders"]["train"]["num_patients"] == NUM_TRAIN * 4 // 5
    assert found["folders"]["generated"]["num_patients"] is None
    assert found["folders"]["train"]["files_sha256"] == read_audited(folders.train, "train").sha256
    assert found["embedding"]["weights_sha256"] == find_weights("phantom", "ctvit").sha256
    assert len(found["heldout_scores"]) == NUM_HELDOUT
    assert found["versions"]["torch"] == torch.__version__
    assert any("PHANTOM" in notice for notice in found["notices"])


def test_a_second_run_embeds_nothing_and_says_the_same(command, folders, of_copies, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(folders.train.parent / "cache", cache)
    damaged = max(cache.glob("*/*.npy"), key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    settings = folders.settings(folders.copies, tmp_path / "again", "num_pairs=3", f"cache_dir={cache}")
    ended = command("audit", *settings)
    assert ended.code == 0, ended.err
    assert f"{NUM_TRAIN + NUM_HELDOUT + NUM_GENERATED} volumes are embedded from before" in ended.out
    assert read(tmp_path / "again") == read(of_copies)


def test_the_page_needs_nothing_else_and_shows_pairs(of_copies):
    page = (of_copies / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert page.count("data:image/jpeg;base64,") == 9  # generated, nearest, difference
    assert "phantom-31" in page
    assert "Copies of training volumes" in page
    with Image.open(of_copies / "pairs.png") as sheet:
        assert sheet.width > 1000
        assert np.asarray(sheet).std() > 10


def test_the_section_names_and_shows_nobody(of_copies):
    section = (of_copies / "privacy.md").read_text(encoding="utf-8")
    assert section.startswith("## Privacy\n")
    assert f"{NUM_GENERATED} generated" in section
    assert "phantom-" not in section
    assert "![" not in section
    assert str(of_copies.parent) not in section


@pytest.fixture(scope="module")
def placed(folders):
    """Function: volumes → p-values and nearest training volumes; and the volumes of the training folder."""
    file = find_weights("phantom", "ctvit")
    embedding = TokenizerEmbedding(rebuild_network(file, "ctvit"), rebuild_preset(file), file.sha256, "phantom")
    embedder = Embedder(embedding, ArrayCache(folders.train.parent / "cache"), Reading())
    train, heldout = read_audited(folders.train, "train"), read_audited(folders.heldout, "heldout")
    features = [embedder.features(folder) for folder in (train, heldout)]
    space = Space.of(np.concatenate(features))
    known, unseen = (space.place(part) for part in features)
    scores = nearness(unseen, known, unseen, of_other_patients(heldout.patients)).score

    def measure(volumes: list[CTVolume]) -> tuple[np.ndarray, np.ndarray]:
        prepared = torch.stack([embedding.prepared(volume) for volume in volumes])
        near = nearness(space.place(embedding.of(prepared)[0].double().numpy()), known, unseen)
        return p_values(near.score, scores), near.nearest

    return measure, [read_nifti(volume.path) for volume in train.volumes[:20]]


CHANGES = {
    "moved by 8 mm": lambda hu, draws: np.roll(hu, (1, -1), (1, 2)),
    "noise of 40 HU": lambda hu, draws: hu + draws.normal(0, 40, hu.shape),
    "contrast and brightness": lambda hu, draws: hu * 1.05 + 20,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_still_a_copy(placed, change):
    measure, originals = placed
    draws = np.random.default_rng(0)
    changed = [CTVolume(CHANGES[change](v.voxels_hu, draws).astype(np.float32), v.affine) for v in originals]
    chances, nearest = measure(changed)
    assert (chances <= 0.05).mean() >= 0.9, chances
    assert (nearest == np.arange(len(originals))).mean() >= 0.9


def test_a_copy_on_a_finer_grid_is_still_a_copy(placed, folders):
    """As super-resolution would write it: four times the rows and columns."""
    measure, originals = placed
    fine = [CTVolume(v.voxels_hu.repeat(4, 1).repeat(4, 2), folders.preset.upscaled_grid.affine()) for v in originals]
    assert (measure(fine)[0] <= 0.05).mean() >= 0.9


def test_the_gallery_shows_every_training_volume_once_before_any_again():
    volumes = [AuditedVolume(Path(name), name, name, (0, 0, 0), name) for name in "abc"]
    scores = [("a", 0.1), ("a", 0.2), ("b", 0.3), ("a", 0.4), ("c", 0.5)]
    by_name = {volume.name: volume for volume in volumes}
    matches = [Match(volumes[0], by_name[name], score, 0.0, 0.0, 0.0, True, True) for name, score in scores]
    assert [(match.train.name, match.score) for match in closest(matches, 4)] == [*scores[::2], scores[1]]


def refused(command, *settings: str) -> str:
    ended = command("audit", *settings)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    return ended.err


def test_folders_must_lie_apart(command, folders, tmp_path):
    assert "are one folder" in refused(command, *folders.settings(folders.train, tmp_path / "out"))
    link = tmp_path / "link"
    link.symlink_to(folders.heldout)
    assert "are one folder" in refused(command, *folders.settings(link, tmp_path / "out"))
    assert "lie in each other" in refused(command, *folders.settings(folders.train.parent, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_held_out_volume_must_not_have_trained(command, folders, tmp_path):
    seen = sorted(folders.train.glob("*.nii.gz"))[7]
    heldout = tmp_path / "heldout"
    shutil.copytree(folders.heldout, heldout)
    (heldout / "table.csv").unlink()
    shutil.copy(seen, heldout / "zz.nii.gz")
    settings = folders.settings(folders.fresh, tmp_path / "out", f"heldout={heldout}")
    told = refused(command, *settings)
    assert "zz is the file phantom-31000007" in told
    volume = read_nifti(seen)  # in another file: other bytes, the same image
    write_nifti(heldout / "zz.nii.gz", CTVolume(volume.voxels_hu.astype(np.float32), volume.affine), description="new")
    told = refused(command, *settings)
    assert "zz holds the image of phantom-31000007" in told


def test_held_out_volumes_do_not_pass_for_generated_ones(command, folders, tmp_path):
    """They are near to nothing that trained, and an audit of them alone would find no sign of copying."""
    real, generated = sorted(folders.heldout.glob("*.nii.gz"))[7], tmp_path / "generated"
    shutil.copytree(folders.fresh, generated)
    shutil.copy(real, generated / "zz.nii.gz")
    settings = folders.settings(generated, tmp_path / "out")
    assert "zz is the file phantom-32000007 of heldout" in refused(command, *settings)
    volume = read_nifti(real)
    write_nifti(
        generated / "zz.nii.gz", CTVolume(volume.voxels_hu.astype(np.float32), volume.affine), description="new"
    )
    told = refused(command, *settings)
    assert "zz holds the image of phantom-32000007 of heldout" in told
    assert "a generated volume must not be a real one" in told


def test_a_volume_that_is_there_twice_is_said(folders, tmp_path):
    file = find_weights("phantom", "ctvit")
    embedding = TokenizerEmbedding(rebuild_network(file, "ctvit"), rebuild_preset(file), file.sha256, "phantom")
    embedder, again = Embedder(embedding, ArrayCache(tmp_path / "cache"), Reading()), tmp_path / "again"
    again.mkdir()
    for path in sorted(folders.fresh.glob("*.nii.gz"))[:2]:
        shutil.copy(path, again)
    assert embedder.num_repeated(read_audited(again, "generated")) == 0
    (again / "zz.nii").write_bytes(gzip.decompress(next(again.glob("*.nii.gz")).read_bytes()))
    assert embedder.num_repeated(read_audited(again, "generated")) == 1


def test_a_held_out_patient_must_not_have_trained(command, folders, tmp_path):
    heldout = tmp_path / "heldout"
    shutil.copytree(folders.heldout, heldout)
    table = heldout / "table.csv"
    patient = PhantomPairs(num=10, seed=31).patient(3)
    table.write_text(table.read_text().replace("phantom-patient-32000002", patient))
    settings = folders.settings(folders.fresh, tmp_path / "out", f"heldout={heldout}")
    told = refused(command, *settings)
    assert "are of one patient" in told
    assert patient not in told


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("false_positive_rate=0.01", "needs at least 99"),
        ("false_positive_rate=0.0", "expected above 0"),
        ("false_positive_rate=0.7", "at most 0.5"),
        ("num_pairs=0", "num_pairs=0"),
        ("generated=nowhere", "no such folder"),
        ("weights=nowhere", "weights"),
        ("card=true", "no manifest.jsonl in it"),
        ("hu_policy=guess", "hu_policy"),
    ],
)
def test_what_cannot_be_audited_is_said_in_a_line(command, folders, tmp_path, setting, told):
    settings = folders.settings(folders.fresh, tmp_path / "out", f"cache_dir={tmp_path / 'cache'}", setting)
    assert told in refused(command, *settings)


def test_unreadable_volumes_are_listed_together_and_the_rest_is_embedded(folders, tmp_path):
    """An audit without them would clear a model that copies them."""
    for index, path in enumerate(sorted(folders.fresh.glob("*.nii.gz"))[:3]):
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content if index == 1 else content[: len(content) // 2])
    file = find_weights("phantom", "ctvit")
    embedding = TokenizerEmbedding(rebuild_network(file, "ctvit"), rebuild_preset(file), file.sha256, "phantom")
    embedder, folder = Embedder(embedding, ArrayCache(tmp_path / "cache"), Reading()), read_audited(tmp_path, "train")
    told = r"2 of 3 volumes cannot be used: .*0000\.nii\.gz: cannot be read .*0002\.nii\.gz: cannot be read"
    with pytest.raises(InputError, match=told):
        embedder.embed([folder], lambda line: None, lambda label, done, total: None)
    assert [volume.name for volume in embedder.missing(folder)] == ["0000", "0002"]


def test_folders_without_volumes_or_rows(command, folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no .nii.gz or .nii" in refused(command, *folders.settings(empty, tmp_path / "out"))
    half = tmp_path / "half"
    shutil.copytree(folders.heldout, half)
    lines = (half / "table.csv").read_text().splitlines()
    (half / "table.csv").write_text("\n".join(lines[:-1]) + "\n")
    settings = folders.settings(folders.fresh, tmp_path / "out", f"heldout={half}")
    assert "no row for volume phantom-32000059" in refused(command, *settings)


def test_a_blind_audit_says_that_it_is_blind(command, folders, tmp_path):
    """Held-out volumes that are second scans of the training set make every copy look like a fresh volume."""
    heldout = tmp_path / "heldout"
    known = [read_nifti(path) for path in sorted(folders.train.glob("*.nii.gz"))]
    draws = np.random.default_rng(0)
    again = [
        torch.from_numpy((v.voxels_hu + draws.normal(0, 15, v.voxels_hu.shape)) / 1000).float()[None] for v in known
    ]
    write_volumes(heldout, again, folders.preset)
    settings = folders.settings(folders.fresh, tmp_path / "out", f"heldout={heldout}")
    ended = command("audit", *settings, "num_pairs=1")
    assert ended.code == 0, ended.err
    assert "This audit cannot tell" in ended.out
    assert read(tmp_path / "out")["verdict"]["kind"] == "blind"
    assert "heldout has no table" in ended.out
