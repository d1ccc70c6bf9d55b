"""Whether the privacy audit finds copies where there are some, and none where there are none.

    python benchmarks/privacy.py --output outputs/privacy

Two generators are audited by `generatect.audit`, on volumes of the low-resolution grid. One is trained here on a few
phantoms until it knows them by heart (experiments/privacy/overtrained.yaml) and sampled with their own prompts. The
other one, the shipped weights, is sampled with prompts of phantoms that it never saw, and compared with the phantoms
that trained it. What is made already is kept.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from machine import machine

from generatect.audit import audit
from generatect.checkpoints.weights import SHIPPED
from generatect.ct.nifti import write_nifti
from generatect.ct.preset import Preset
from generatect.data.safe_csv import write_csv
from generatect.data.split import split_by_patient
from generatect.files import atomic_path
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT, TokenOptions

HELD_OUT_SEED, PROMPT_SEED = 921, 922  # series that nothing is trained or tuned on
NUM_MEMORISED = 16
"""As in experiments/privacy/overtrained.yaml."""
NUM_TRAINING, VAL_FRACTION = 10_000, 0.01
"""Phantoms of series 0 that trained the shipped transformer: experiments/phantom/transformer.yaml."""
BY_HEART = TokenOptions(guidance=1.0)
"""Guidance would push its samples beyond what it knows."""
BATCH = 16


def write_phantoms(folder: Path, pairs: PhantomPairs, indices: Sequence[int], preset: Preset) -> None:
    """Phantoms on the low-resolution grid, and the table of their patients."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        path = folder / f"{pairs.name(index)}.nii.gz"
        if not path.is_file():
            write_nifti(path, preset.to_volume(pairs.model_input(index, preset)))
    rows = [(f"{pairs.name(index)}.nii.gz", pairs.patient(index)) for index in indices]
    write_csv(folder / "table.csv", ("volume", "patient"), rows)


def write_samples(folder: Path, model: TextToCT, prompts: Sequence[str], options: TokenOptions) -> None:
    """One volume of the low-resolution grid per prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(prompts), BATCH):
        texts = list(prompts[start : start + BATCH])
        paths = [folder / f"{start + place:04d}.nii.gz" for place in range(len(texts))]
        if not all(path.is_file() for path in paths):
            volumes = model.sample_lowres(texts, start, options)
            for path, volume in zip(paths, volumes, strict=True):
                write_nifti(path, model.preset.to_volume(volume))


def overtrain(output: Path, tokenizer: Path) -> float:
    """Trains it in a process of its own; returns the seconds it took, 0 where it was done before."""
    if (output / "transformer.safetensors").is_file():
        return 0.0
    started = time.monotonic()
    settings = ("experiments=privacy/overtrained", f"tokenizer={tokenizer}", f"output={output}", "resume=auto")
    subprocess.run([sys.executable, "-m", "generatect.train", *settings], check=True)
    return time.monotonic() - started


def run_audit(root: Path, name: str) -> dict[str, object]:
    """Audits ROOT/NAME/{train,generated,heldout}; returns what it wrote."""
    folder = root / name
    audit(
        train=str(folder / "train"),
        generated=str(folder / "generated"),
        heldout=str(folder / "heldout"),
        output=str(folder / "audit"),
        weights="phantom",
        false_positive_rate=0.05,
        num_pairs=8,
        card=False,
        hu_policy="auto",
        device="cpu",
        cache_dir=str(root / "cache"),
    )
    found = json.loads((folder / "audit" / "audit.json").read_text(encoding="utf-8"))
    return {key: found[key] for key in ("verdict", "copies", "planted", "membership", "folders")}


def main() -> None:
    """Makes both generators' volumes, audits them, writes privacy.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/privacy"), help="folder of everything")
    parser.add_argument("--heldout", type=int, default=1000, help="held-out phantoms")
    parser.add_argument("--generated", type=int, default=200, help="volumes of the honest generator")
    parser.add_argument("--training", type=int, help="of the phantoms that trained the honest one; all unless said")
    parser.add_argument("--samples", type=int, default=3, help="volumes of the over-trained generator for each prompt")
    parser.add_argument("--only", choices=("overtrained", "honest"), help="one of the two")
    settings = parser.parse_args()
    root, shipped = settings.output, SHIPPED["phantom"]
    heldout = PhantomPairs(num=settings.heldout, seed=HELD_OUT_SEED)
    results: dict[str, object] = {"machine": machine(), "heldout_seed": HELD_OUT_SEED, "prompt_seed": PROMPT_SEED}
    if settings.only and (root / "privacy.json").is_file():  # the other one stays
        results = {**json.loads((root / "privacy.json").read_text(encoding="utf-8")), **results}

    if settings.only != "honest":
        results["training_seconds"] = overtrain(root / "overtrained" / "weights", shipped)
        weights = {stage: str(shipped / f"{stage}.safetensors") for stage in ("ctvit", "superres")}
        weights["transformer"] = str(root / "overtrained" / "weights" / "transformer.safetensors")
        model, pairs = TextToCT.load(weights, "cpu"), PhantomPairs(num=NUM_MEMORISED, seed=0)
        prompts = [pairs.text(index) for index in range(NUM_MEMORISED)] * settings.samples
        write_phantoms(root / "overtrained" / "train", pairs, range(NUM_MEMORISED), model.preset)
        write_phantoms(root / "overtrained" / "heldout", heldout, range(len(heldout)), model.preset)
        write_samples(root / "overtrained" / "generated", model, prompts, BY_HEART)
        results["overtrained"] = run_audit(root, "overtrained")

    if settings.only != "overtrained":
        model, pairs = TextToCT.load("phantom", "cpu"), PhantomPairs(num=NUM_TRAINING, seed=0)
        patients = [pairs.patient(index) for index in range(NUM_TRAINING)]
        seen = split_by_patient(patients, val_fraction=VAL_FRACTION, seed=0)["train"][: settings.training]
        fresh = PhantomPairs(num=settings.generated, seed=PROMPT_SEED)
        prompts = [fresh.text(index) for index in range(len(fresh))]
        write_samples(root / "honest" / "generated", model, prompts, TokenOptions())
        write_phantoms(root / "honest" / "train", pairs, seen, model.preset)
        write_phantoms(root / "honest" / "heldout", heldout, range(len(heldout)), model.preset)
        results["honest"] = run_audit(root, "honest")

    with atomic_path(root / "privacy.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {root / 'privacy.json'}")


if __name__ == "__main__":
    main()
