"""What may name a patient stays where it was: strings planted in headers, tables and paths are in nothing we write."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from generatect.ct.nifti import write_nifti
from generatect.phantom.pairs import PhantomPairs

# Each planted string is its own word, so that a leak says where it came from.
HEADER_FIELDS = {"descrip": "Zqdescrip", "aux_file": "Zqauxfile", "db_name": "Zqdbname", "intent_name": "Zqintent"}
EXTENSION, JSON, FOLDER, PATIENT = "Zqextension", "Zqjson", "Zqfolder", "Zqpatient"
PLANTED = [*HEADER_FIELDS.values(), EXTENSION, JSON, FOLDER, PATIENT]


def plant(path: Path, index: int) -> None:
    """A phantom's scan whose header's free text is planted."""
    pairs = PhantomPairs(num=8, seed=5, native_shape_zyx=(75, 96, 96))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, pairs.volume(index))
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).astype(np.int16)
    for field, text in HEADER_FIELDS.items():
        image.header[field] = text.encode()
    image.header.extensions.append(Nifti1Extension("comment", EXTENSION.encode()))
    nib.save(nib.Nifti1Image(voxels, image.affine, image.header), path)


@pytest.fixture
def archive(tmp_path) -> list[str]:
    """An archive in the layout of GenerateCT's example data, planted everywhere; the settings that name it."""
    root = tmp_path / FOLDER
    rows = []
    for index in range(3):
        accession = f"acc{index}"
        volume = root / f"{PATIENT}{index}" / accession / f"scan{index}.nii.gz"
        plant(volume, index)
        metadata = {
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "Manufacturer": JSON,
            "PatientAge": "061Y",
            "PatientSex": "M",
            "PatientName": JSON,
            "InstitutionName": JSON,
        }
        volume.with_name(f"scan{index}_metadata.json").write_text(json.dumps(metadata))
        rows.append(f"{accession},Small left pleural effusion number {index}.")
    table = tmp_path / "reports.csv"
    table.write_text("AccessionNo,Impressions\n" + "\n".join(rows) + "\n")
    return [
        "data=generatect",
        f"data.root={root}",
        f"data.table={table}",
        "data.hu_policy=already_hu",
    ]


def leaks(folder: Path) -> list[tuple[str, str]]:
    """(planted string, file) for all that a folder holds, names of files included."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if content.startswith(b"\x1f\x8b"):
            content += gzip.decompress(content)
        content += path.relative_to(folder).as_posix().encode()
        for text in PLANTED:
            if any(text.encode(code) in content for code in ("utf-8", "utf-16-le", "utf-16-be")):
                found.append((text, path.relative_to(folder).as_posix()))
    return found


def test_the_search_finds_what_is_planted(archive, tmp_path):
    assert {text for text, _ in leaks(tmp_path / FOLDER)} == set(PLANTED) - {FOLDER}


def test_nothing_that_we_write_repeats_it(archive, command, tiny_weights, tmp_path):
    """Names of volumes are ours to keep, and a run's config.yaml repeats the command line; nothing else."""
    written, scan = tmp_path / "written", next((tmp_path / FOLDER).rglob("scan0.nii.gz"))
    cache, small = f"cache_dir={written / 'cache'}", ("model=tiny", "text_encoder.encoder.num_buckets=64")
    tokenizer = f"tokenizer={tiny_weights / 'ctvit.safetensors'}"
    quick = ("steps=1", "trainer.accelerator=cpu", "stage.datamodule.val_fraction=0.0", "stage.datamodule.batch_size=1")
    runs = [
        ("doctor", *archive, "voxels=true", cache, f"output={written / 'doctor'}"),
        ("prepare", *archive, *small, tokenizer, cache, f"output={written / 'prepared'}"),
        ("train", "stage=ctvit", *archive, *small, *quick, cache, f"output={written / 'ctvit'}"),
        ("train", "stage=transformer", *archive, *small, *quick, tokenizer, cache, f"output={written / 'transformer'}"),
        ("train", "stage=superres", *archive, *small, *quick, tokenizer, cache, f"output={written / 'superres'}"),
        ("reconstruct", f"input={scan}", f"weights={tiny_weights}", cache, f"output={written / 'reconstructed'}"),
    ]
    for name, *settings in runs:
        ended = command(name, *settings)
        assert ended.code == 0, (name, ended.err, ended.out)
        shown = ended.out + ended.err
        assert [text for text in PLANTED if text in shown and text not in (FOLDER, PATIENT)] == [], name
    assert len(list(written.rglob("*.npy"))) >= 3
    assert [(text, path) for text, path in leaks(written) if (Path(path).name, text) != ("config.yaml", FOLDER)] == []
