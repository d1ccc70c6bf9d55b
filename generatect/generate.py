"""`python -m generatect.generate prompt="…" output=DIR`: a chest CT from a report."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.data.prompts import gather_prompts
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.fitting import estimate, fit
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.placement import device_of_shard, pick_device, pick_precision
from generatect.planning.memory import peak_bytes, reset_peak
from generatect.progress import bars, duration
from generatect.sidecar import ENDINGS
from generatect.synthesis.dataset import finish_dataset
from generatect.synthesis.gate import open_gate
from generatect.synthesis.make import Tally, make_volumes
from generatect.synthesis.work import Shard, work_of


def generate(
    *,
    prompt: str | None,
    prompts: str | None,
    output: str,
    weights: str | dict[str, str],
    seed: int,
    device: str,
    tokens: dict[str, Any],
    upscale: dict[str, Any],
    memory: str | float,
    arithmetic: str,
    shard: dict[str, Any],
    gate: dict[str, Any] | None,
    dicom: bool,
    t5: str | None,
    cache_dir: str,
) -> None:
    """Writes a NIfTI in HU, a JSON sidecar and a preview PNG per prompt; of a table, a dataset.

    Prompt number i is sampled with seed + i, alone, so that its volume does not depend on the others. The same seed,
    weights, machine and versions give the same bytes. What is there already, whole, is kept.

    Args:
        prompt: a report.
        prompts: a CSV of them; see `gather_prompts`.
        output: folder of the results.
        weights: "phantom", "released", a folder, ORG/NAME on the Hub, or a file per stage; see `find_weights`.
        seed: of the first prompt.
        device: auto, cpu, cuda, …; with auto the shards of a table take the GPUs of a machine in turn.
        tokens: how tokens are sampled; see `TokenOptions`.
        upscale: how slices are refined; see `UpscaleOptions`. `slices_per_batch` is the most at once.
        memory: what it may take, such as 8GB; auto: nearly all that is free. See `fit`.
        arithmetic: fp32, bf16 or fp16; auto: bf16 on a GPU.
        shard: index and count: which share of a table this process does; see `Shard`.
        gate: which volumes of a table are kept; see `GateSettings`. None keeps all.
        dicom: write each volume as a DICOM series, too.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: whatever of this cannot be used.
    """
    check_arguments(TokenOptions, tokens, "tokens")
    check_arguments(UpscaleOptions, upscale, "upscale")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed}: expected a whole number from 0 to {2**32 - 1}")
    wanted = gather_prompts(prompt, prompts)
    share = _shard(shard) if prompts is not None else None
    device = device_of_shard(device, share.index if share else 0, torch.cuda.device_count())
    work, everything = work_of(wanted, seed, share or Shard()), work_of(wanted, seed, Shard())
    passes = open_gate(gate, wanted, pick_device(device)) if gate is not None and prompts is not None else None
    if passes is None and (gate or {}).get("classifier") is not None:
        raise InputError("gate.classifier: a single prompt has no labels; give prompts= a table that has them")
    folder = writable_folder(output)
    model = TextToCT.load(weights, device, cache_dir, t5)
    token_options, upscale_options, plan = fit(
        model, TokenOptions(**tokens), UpscaleOptions(**upscale), memory, pick_precision(arithmetic, model.device)
    )
    seconds = estimate(model, token_options, upscale_options)
    z, y, x = model.preset.upscaled_grid.shape_zyx
    print(
        f"{len(work)} volume{'s' * (len(work) != 1)} of {z} × {y} × {x} voxels: {token_options.steps} token steps "
        f"and {upscale_options.steps} steps on each of {z} slices, about {duration(len(work) * seconds)} on "
        f"{model.device}, at most {len(work) * z * y * x * 2 / 1e6:.0f} MB on disk"
    )
    print(f"{token_options.precision}, {plan}: peak memory about {plan.peak_bytes / 1e9:.2f} GB")
    reset_peak(model.device)
    started = time.monotonic()
    request: dict[str, Any] = {"tokens": asdict(token_options), "upscale": asdict(upscale_options)}
    request |= {"weights_sha256": model.hashes, **({"dicom": True} if dicom else {})}
    if passes and passes.agreement:
        request["classifier_sha256"] = passes.agreement.classifier.sha256
    with bars() as show:
        tally = make_volumes(model, work, folder, share, request, token_options, upscale_options, passes, show)
    peak = peak_bytes(model.device)
    print(f"took {duration(time.monotonic() - started)}" + (f", peak memory {peak / 1e9:.2f} GB" if peak else ""))
    _report(tally, len(work), folder)
    if share is None:
        print("wrote", " ".join(str(folder / f"{wanted[0].name}{ending}") for ending in ENDINGS))
    else:
        written = finish_dataset(folder, everything, request, passes.plain() if passes else None)
        print("other shards have still to do their part" if written is None else f"wrote {' '.join(map(str, written))}")


def _shard(shard: Mapping[str, Any]) -> Shard:
    check_arguments(Shard, shard, "shard")
    return Shard(**shard)


def _report(tally: Tally, num_items: int, folder: Path) -> None:
    if tally.found:
        print(f"{tally.found} of {num_items} volumes are there from before, whole, and were kept")
    if tally.rejected:
        print(f"{tally.rejected} prompts never passed the gate; see {folder / 'rejected.csv'} once all is done")


if __name__ == "__main__":
    run_command("generate", generate)
