"""The card of a dataset holds what an audit said of it, as long as its volumes are those that were audited."""

import json
import shutil

from generatect.data.prompts import Prompt
from generatect.files import sha256_of_file
from generatect.synthesis.audited import AUDITED, CARD, audited_section, keep_audit
from generatect.synthesis.card import dataset_card
from generatect.synthesis.manifest import write_manifest
from generatect.synthesis.work import Shard, work_of

SIDECAR = {
    "notice": "SYNTHETIC",
    "attempt": 0,
    "shape_zyx": [17, 48, 48],
    "spacing_mm_zyx": [17.7, 8, 8],
    "preset": "physical",
    "weights_sha256": {},
    "tokens": {},
    "upscale": {},
    "versions": {},
}


def test_an_audit_ends_the_card_until_the_volumes_change(command, folders, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(folders.fresh, dataset)
    volumes = sorted(dataset.iterdir())
    work = work_of([Prompt(path.name.removesuffix(".nii.gz"), "text") for path in volumes], 0, Shard())
    sidecars = [{**SIDECAR, "volume_sha256": sha256_of_file(path)} for path in volumes]
    write_manifest(dataset, sidecars)
    kept = list(zip(work, sidecars, strict=True))
    plain = dataset_card(dataset, kept, [])
    (dataset / CARD).write_text(plain, encoding="utf-8")
    before = {path.name for path in dataset.iterdir()}
    ended = command("audit", *folders.settings(dataset, tmp_path / "audit", "num_pairs=1", "card=true"))
    assert ended.code == 0, ended.err
    section = (tmp_path / "audit" / AUDITED).read_text(encoding="utf-8")
    assert (dataset / CARD).read_text(encoding="utf-8") == f"{plain}\n{section}"
    assert {path.name for path in dataset.iterdir()} == before | {AUDITED}
    assert dataset_card(dataset, kept, []) == f"{plain}\n{section}"  # as a later process would finish it
    assert "## Privacy" not in dataset_card(dataset, kept[1:], [])


def test_a_section_is_of_the_volumes_that_were_audited(tmp_path):
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps({"volume_sha256": name}) + "\n" for name in "ba"))
    (tmp_path / CARD).write_text("# card\n\n## Quality\n\ngood\n")
    keep_audit(tmp_path, "## Privacy\n\nfirst\n")
    keep_audit(tmp_path, "## Privacy\n\nsecond\n")
    assert (tmp_path / CARD).read_text() == "# card\n\n## Quality\n\ngood\n\n## Privacy\n\nsecond\n"
    assert audited_section(tmp_path, ["a", "b"]) == "\n## Privacy\n\nsecond\n"
    for others in (["a"], ["a", "b", "c"], ["a", "x"], []):
        assert audited_section(tmp_path, others) == ""
    (tmp_path / AUDITED).unlink()
    assert audited_section(tmp_path, ["a", "b"]) == ""
