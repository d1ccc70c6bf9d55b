"""`python -m generatect.upscale input=FILE_or_FOLDER output=DIR`: the third stage alone, on low-resolution volumes."""

from pathlib import Path
from typing import Any

import torch

from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.data.scans import refuse_overwriting
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.fitting import estimate, fit
from generatect.options import UpscaleOptions
from generatect.placement import device_of_shard, pick_device, pick_precision
from generatect.progress import duration, size
from generatect.sidecar import ENDINGS
from generatect.stage_models import TokensToCT, UpscaleModel
from generatect.synthesis.dataset import finish_dataset
from generatect.synthesis.gate import open_gate
from generatect.synthesis.lowres_sources import gather_sources, say_what_differs
from generatect.synthesis.make import alone, make_all, report, say_finished, say_moved
from generatect.synthesis.refine import FromLowres, require_fitting
from generatect.synthesis.replacing import make_room, refuse_foreign, refuse_replacing, refuse_strangers
from generatect.synthesis.understanding import lines_on_length
from generatect.synthesis.work import NUM_SEEDS, read_shard


def upscale(
    *,
    input: str,
    output: str,
    prompt: str | None,
    table: str | None,
    weights: str | dict[str, str],
    seed: int | None,
    hu_policy: str,
    device: str,
    upscale: dict[str, Any],
    memory: str | float,
    arithmetic: str,
    shard: dict[str, Any],
    gate: dict[str, Any] | None,
    dicom: bool,
    fresh: bool,
    t5: str | None,
    cache_dir: str,
) -> None:
    """Refines the slices of volumes that `generate upscale=null` wrote, or of scans brought down to the model's grid.

    A generated volume is decoded from the tokens beside it again, with the prompt and seed of its sidecar: the result
    is that of `generate` in one go, byte for byte on the same machine. Files, resumption, shards and gate are as there.

    Args:
        input: a NIfTI file, a folder searched for them, or the folder of one DICOM series.
        output: folder of the results.
        prompt: for all volumes, in the place of the sidecars'.
        table: a table with a prompt for each volume, in the place of the sidecars'; see `gather_sources`.
        weights: as for `generate`; of them superres is read, and ctvit where volumes have tokens.
        seed: of the first volume's noise; None: generated volumes keep theirs, scans count up from 0.
        hu_policy: how stored values of scans become HU; see `generatect.ct.hounsfield`.
        device: auto, cpu, cuda, …; with auto the shards of a folder take the GPUs of a machine in turn.
        upscale: how slices are refined; see `UpscaleOptions`. `slices_per_batch` is the most at once.
        memory: what it may take, such as 8GB; auto: nearly all that is free. See `fit`.
        arithmetic: fp32, bf16 or fp16; auto: bf16 on a GPU.
        shard: index and count: which share of a folder this process does; see `Shard`.
        gate: which volumes of a folder are kept; see `GateSettings`. None keeps all.
        dicom: write each volume as a DICOM series, too.
        fresh: moves volumes that were made otherwise, and those of none of the inputs, out of the output.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: whatever of this cannot be used.
    """
    check_arguments(UpscaleOptions, upscale, "upscale")
    if seed is not None and not 0 <= seed < NUM_SEEDS:
        raise InputError(f"seed={seed}: expected a whole number from 0 to {NUM_SEEDS - 1}, or null")
    path = Path(input).expanduser()
    sources = gather_sources(path, prompt, None if table is None else Path(table).expanduser(), seed)
    refuse_overwriting([(source.path, source.item.prompt.name) for source in sources], Path(output).expanduser())
    is_folder = path.is_dir() and sources[0].path != path
    share = read_shard(shard) if is_folder else None
    is_dataset = share is not None and all(source.sidecar for source in sources)  # real patients' are none
    everything = [source.item for source in sources]
    work = everything[share.index :: share.count] if share else everything
    device = device_of_shard(device, share.index if share else 0, torch.cuda.device_count())
    prompts = [item.prompt for item in everything]
    passes = open_gate(gate, prompts, pick_device(device)) if gate is not None and is_folder else None
    if passes is None and (gate or {}).get("classifier") is not None:
        raise InputError(
            "gate.classifier: a single volume is not judged; give input= a folder with labels in its table"
        )
    for line in say_what_differs(sources):
        print(line)
    folder = writable_folder(output)
    with alone(folder, share, everything[0].prompt.name):
        kind = TokensToCT if any(source.tokens for source in sources) else UpscaleModel
        model = kind.load(weights, device, cache_dir, t5)
        require_fitting(sources, model)
        precision = pick_precision(arithmetic, model.device)
        _, options, plan = fit(model, None, UpscaleOptions(**upscale), memory, precision)
        assert options is not None
        classifier = passes.agreement.classifier.sha256 if passes and passes.agreement else None
        by_name = {source.item.prompt.name: source for source in sources}
        maker = FromLowres(model, by_name, options, hu_policy, dicom, classifier)
        names = set(by_name) if share else None
        if fresh:
            say_moved(make_room(folder, work, maker.request, names, is_dataset=is_dataset))
        else:
            refuse_replacing(folder, work, maker.request)
            refuse_strangers(folder, names)
            if is_dataset:
                refuse_foreign(folder)
        for line in lines_on_length(model.reads([item.prompt.text for item in work])):
            print(line)
        grid = model.preset.upscaled_grid
        print(
            f"{len(work)} volume{'s' * (len(work) != 1)} of {grid.said}: {options.steps} steps on each of "
            f"{grid.shape_zyx[0]} slices, about {duration(len(work) * estimate(model, None, options))} on "
            f"{model.device}, at most {size(len(work) * grid.num_voxels * 2)} on disk"
        )
        print(f"{options.precision}, {plan}: peak memory about {size(plan.peak_bytes)}")
        tally = make_all(maker, work, folder, share, passes, model.device)
    reasons = f"{folder / 'rejected.csv'} once all is done" if is_dataset else f"{folder}/NAME.rejected.json"
    report(tally, len(work), reasons)
    if share is None:
        print("wrote", " ".join(str(folder / f"{everything[0].prompt.name}{ending}") for ending in ENDINGS))
    elif is_dataset:
        say_finished(finish_dataset(folder, everything, maker.request, passes.plain() if passes else None))
    else:
        print(f"wrote {tally.made} volumes to {folder}")


if __name__ == "__main__":
    run_command("upscale", upscale)
