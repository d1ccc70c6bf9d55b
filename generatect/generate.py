"""`python -m generatect.generate prompt="…" output=DIR`: a chest CT from a report."""

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
from generatect.options import TokenOptions, UpscaleOptions
from generatect.pipeline import TextToCT
from generatect.placement import device_of_shard, pick_device, pick_precision
from generatect.planning.plan import Plan
from generatect.progress import duration, size
from generatect.sidecar import ENDINGS, TOKENS
from generatect.stage_models import LowresModel, StageModel
from generatect.synthesis.dataset import finish_dataset
from generatect.synthesis.gate import open_gate
from generatect.synthesis.make import alone, make_all, report, say_finished, say_moved
from generatect.synthesis.makers import FromPrompts
from generatect.synthesis.replacing import make_room, refuse_foreign, refuse_replacing, refuse_strangers
from generatect.synthesis.understanding import lines_on_length, unknown_labels
from generatect.synthesis.work import Shard, read_shard, work_of


def generate(
    *,
    prompt: str | None,
    prompts: str | None,
    output: str,
    weights: str | dict[str, str],
    seed: int,
    device: str,
    tokens: dict[str, Any],
    upscale: dict[str, Any] | None,
    memory: str | float,
    arithmetic: str,
    shard: dict[str, Any],
    gate: dict[str, Any] | None,
    dicom: bool,
    fresh: bool,
    t5: str | None,
    cache_dir: str,
) -> None:
    """Writes a NIfTI in HU, a JSON sidecar and a preview PNG per prompt; of a table, a dataset.

    Prompt number i is sampled with seed + i, alone, so that its volume does not depend on the others. The same seed,
    weights, machine and versions give the same bytes. What is there already, whole, is kept; what was made otherwise is
    not replaced unless `fresh`.

    Args:
        prompt: a report.
        prompts: a CSV of them; see `gather_prompts`.
        output: folder of the results.
        weights: "phantom", "released", a folder, ORG/NAME on the Hub, or a file per stage; see `find_weights`.
        seed: of the first prompt.
        device: auto, cpu, cuda, …; with auto the shards of a table take the GPUs of a machine in turn.
        tokens: how tokens are sampled; see `TokenOptions`.
        upscale: how slices are refined; see `UpscaleOptions`. `slices_per_batch` is the most at once. None writes the
            low-resolution volumes, which `generatect.upscale` refines.
        memory: what it may take, such as 8GB; auto: nearly all that is free. See `fit`.
        arithmetic: fp32, bf16 or fp16; auto: bf16 on a GPU.
        shard: index and count: which share of a table this process does; see `Shard`.
        gate: which volumes of a table are kept; see `GateSettings`. None keeps all.
        dicom: write each volume as a DICOM series, too.
        fresh: moves volumes that were made otherwise, and those of no row of the table, out of the folder.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: whatever of this cannot be used.
    """
    check_arguments(TokenOptions, tokens, "tokens")
    check_arguments(UpscaleOptions, upscale or {}, "upscale")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed}: expected a whole number from 0 to {2**32 - 1}")
    wanted = gather_prompts(prompt, prompts)
    share = read_shard(shard) if prompts is not None else None
    device = device_of_shard(device, share.index if share else 0, torch.cuda.device_count())
    work, everything = work_of(wanted, seed, share or Shard()), work_of(wanted, seed, Shard())
    passes = open_gate(gate, wanted, pick_device(device)) if gate is not None and prompts is not None else None
    if passes is None and (gate or {}).get("classifier") is not None:
        raise InputError("gate.classifier: a single prompt has no labels; give prompts= a table that has them")
    folder = Path(output).expanduser()
    names = {item.prompt.name for item in everything}
    if not fresh:
        refuse_replacing(folder, work, lambda _item: {})  # before a model is loaded
        if share:
            refuse_strangers(folder, names)
            refuse_foreign(folder)
    folder = writable_folder(output)
    with alone(folder, share, wanted[0].name):
        kind = LowresModel if upscale is None else TextToCT
        model = kind.load(weights, device, cache_dir, t5)
        token_options, upscale_options, plan = fit(
            model,
            TokenOptions(**tokens),
            None if upscale is None else UpscaleOptions(**upscale),
            memory,
            pick_precision(arithmetic, model.device),
        )
        assert token_options is not None
        request: dict[str, Any] = {"tokens": asdict(token_options)}
        request |= {"upscale": asdict(upscale_options) if upscale_options else None, "weights_sha256": model.hashes}
        request |= {"dicom": True} if dicom else {}
        if passes and passes.agreement:
            request["classifier_sha256"] = passes.agreement.classifier.sha256
        maker = FromPrompts(model, token_options, upscale_options, request)
        if fresh:
            say_moved(make_room(folder, work, maker.request, names if share else None, is_dataset=share is not None))
        else:
            refuse_replacing(folder, work, maker.request)
        for line in lines_on_length(model.reads([item.prompt.text for item in work])):
            print(line)
        if unknown := unknown_labels(wanted, model.notice):
            print(f"labels of the prompts that these weights never met: {', '.join(unknown)}")
        _announce(model, len(work), token_options, upscale_options, plan)
        tally = make_all(maker, work, folder, share, passes, model.device)
    report(tally, len(work), f"{folder / 'rejected.csv'} once all is done")
    if share is None:
        endings = ENDINGS if upscale is not None else (*ENDINGS, TOKENS)
        series = [f"and a DICOM series in {folder / wanted[0].name}"] if dicom else []
        print("wrote", *(folder / f"{wanted[0].name}{ending}" for ending in endings), *series)
    else:
        say_finished(finish_dataset(folder, everything, maker.request, passes.plain() if passes else None))


def _announce(model: StageModel, num: int, tokens: TokenOptions, upscale: UpscaleOptions | None, plan: Plan) -> None:
    """Says what the work will be and what it will take."""
    seconds = estimate(model, tokens, upscale)
    grid = model.preset.upscaled_grid if upscale else model.preset.grid
    refining = f" and {upscale.steps} steps on each of {grid.shape_zyx[0]} slices" if upscale else ""
    print(
        f"{num} volume{'s' * (num != 1)} of {grid.said}: {tokens.steps} token steps{refining}, about "
        f"{duration(num * seconds)} on {model.device}, at most {size(num * grid.num_voxels * 2)} on disk"
    )
    print(f"{tokens.precision}, {plan}: peak memory about {size(plan.peak_bytes)}")


if __name__ == "__main__":
    run_command("generate", generate)
