"""`python -m generatect.train stage=ctvit|transformer|superres …`: trains one stage."""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from generatect.callbacks.interruption import Interrupted
from generatect.callbacks.latest import keep_previous
from generatect.checkpoints.newest import LATEST, checkpoint_to_resume
from generatect.checkpoints.stage_file import read_stage_file, write_stage_file
from generatect.config.build import build
from generatect.config.command import run_command
from generatect.data.inspection.gate import refuse_bad
from generatect.data.module import PairsDataModule
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.stages.assemble import Assembled, assemble, start_from
from generatect.stages.limits import check_trainer

MAX_SEED = 2**32 - 1  # NumPy's, which Lightning seeds too


def train(
    *,
    stage: dict[str, Any],
    model: dict[str, Any],
    preset: dict[str, Any],
    data: dict[str, Any],
    text_encoder: dict[str, Any],
    trainer: dict[str, Any],
    callbacks: dict[str, Any],
    logger: dict[str, Any],
    output: str,
    steps: int,
    val_every: int,
    seed: int,
    tokenizer: str | None,
    resume: str | None,
    init: str | None,
    cache_dir: str,
) -> None:
    """Trains `stage` for `steps` batches and writes `OUTPUT/STAGE.safetensors`.

    Args:
        stage: name, Lightning module and data module.
        model: sizes of volumes and networks.
        preset: how a volume comes onto the model's grid; a later stage takes its tokenizer's.
        data: source of pairs of volume and report.
        text_encoder: reports → features.
        trainer: arguments of `lightning.Trainer`.
        callbacks: by name.
        logger: by name.
        output: folder of checkpoints, logs and previews.
        steps: batches to train.
        val_every: batches between validations.
        seed: of everything random.
        tokenizer: checkpoint of stage `ctvit`; needed by the later stages.
        resume: a `.ckpt` to go on from; "auto": the newest whole one in `output`, or a fresh start without one.
        init: weights to start from, in a new run: a file of this stage, converted ones too.
        cache_dir: folder of computed arrays.

    Raises:
        InputError: a checkpoint is missing or of another stage, the output cannot be written, the data cannot be used,
            or the trainer cannot do what the stage needs.
    """
    settings, name = dict(locals()), stage["name"]
    for key, value, least in (("steps", steps, 1), ("val_every", val_every, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{key}={value}: expected at least {least}")
    if seed > MAX_SEED:
        raise InputError(f"seed={seed}: expected at most {MAX_SEED}")
    check_trainer(stage, trainer)
    resume = checkpoint_to_resume(resume, name, Path(output))
    if resume is not None and init is not None:
        raise InputError(f"init={init}: a resumed run has its own weights; give init or resume, not both")
    L.seed_everything(seed, verbose=False)
    torch.set_float32_matmul_precision("high")

    built = assemble(
        name, model=model, preset=preset, text_encoder=text_encoder, tokenizer=tokenizer, cache_dir=cache_dir
    )
    if init is not None:
        start_from(built, init, name)
    pairs = build(data["pairs"])
    refuse_bad(pairs, doctor=data.get("doctor", "ignore"), on_bad=data.get("on_bad", "raise"), cache_dir=cache_dir)
    notice = getattr(pairs, "notice", None)
    description = {**built.description, "stage": name, "notice": notice}
    datamodule = build(stage["datamodule"], pairs=pairs, preset=built.preset, seed=seed, **built.data)
    module = build(stage["module"], description=description, seed=seed, **built.module)
    folder = writable_folder(output)
    is_first = rank_zero_only.rank == 0  # of several processes one speaks and writes
    if is_first:
        OmegaConf.save(settings, folder / "config.yaml")
        print(summary(name, built, datamodule, steps))

    if not datamodule.val_indices:
        if is_first:
            print("no validation: no patient falls into its share; raise stage.datamodule.val_fraction for one")
        callbacks = {key: entry for key, entry in callbacks.items() if not entry.get("monitor", "").startswith("val/")}
    shown = {key: {"preset": built.preset, "notice": notice} if key == "previews" else {} for key in callbacks}
    runner = build(
        trainer,
        limit_train_batches=steps,
        val_check_interval=min(val_every, steps),
        callbacks=[build(entry, **shown[key]) for key, entry in callbacks.items()],
        logger=[build(entry) for entry in logger.values()],
    )
    try:
        runner.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    except Interrupted as interrupted:
        if is_first:
            print(f"saved {folder / LATEST}: {interrupted}; the same command with resume=auto goes on", file=sys.stderr)
        sys.exit(128 + interrupted.signal)  # as a shell reports a process that a signal ended
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"stage {name}: out of memory at stage.datamodule.batch_size={datamodule.batch_size}; lower it, choose "
            "precision=bf16, or a smaller model"
        ) from error

    if runner.is_global_zero:
        keep_previous(folder / LATEST)
    runner.save_checkpoint(folder / LATEST, weights_only=False)
    if runner.is_global_zero:
        file = read_stage_file(folder / LATEST, name)
        write_stage_file(folder / f"{name}.safetensors", file.description, file.state_to_use())
        print(f"wrote {folder / f'{name}.safetensors'}")


def summary(name: str, built: Assembled, data: PairsDataModule, steps: int) -> str:
    """What is about to happen, in two lines."""
    sizes = ", ".join(
        f"{key} {sum(p.numel() for p in network.parameters()) / 1e6:.1f} M"
        for key, network in built.module.items()
        if isinstance(network, torch.nn.Module)
    )
    z, y, x = built.preset.grid.shape_zyx
    preset = built.preset.name if name == "ctvit" else f"{built.preset.name} (the tokenizer's)"
    return (
        f"stage {name}: {sizes}\n"
        f"{len(data.train_indices)} volumes to train and {len(data.val_indices)} to validate on, "
        f"{z} × {y} × {x} voxels, preset {preset}, {steps} steps"
    )


if __name__ == "__main__":
    run_command("train", train)
