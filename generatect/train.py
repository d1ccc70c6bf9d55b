"""`python -m generatect.train stage=ctvit|transformer|superres|ctnet …`: trains one stage."""

from generatect.config.command import refuse_early, run_command

if __name__ == "__main__":
    refuse_early("train")  # before the imports below, which take seconds

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities import rank_zero_only

from generatect.callbacks.run_record import RunRecord
from generatect.checkpoints.newest import LATEST, checkpoint_to_resume
from generatect.checkpoints.rebuild import codebook_sha256
from generatect.checkpoints.resume import is_finished, steps_done
from generatect.checkpoints.run_folder import alone_in, move_aside, refuse_to_overwrite
from generatect.checkpoints.safe_load import load_tensors
from generatect.checkpoints.same_run import changes_since, described_otherwise, settings_of_run
from generatect.checkpoints.stage_file import StageFile, read_stage_file, write_stage_file
from generatect.config.build import build
from generatect.data.inspection.gate import refuse_bad
from generatect.data.module import PairsDataModule
from generatect.data.pairs import Pairs
from generatect.data.split import describe_sides, sides_of
from generatect.errors import InputError
from generatect.signals import ended_by_signals
from generatect.stages.activations import compile_network, forget_activations
from generatect.stages.assemble import PARTS, Assembled, assemble, find_tokenizer, start_from
from generatect.stages.closing import closing
from generatect.stages.limits import check_trainer
from generatect.stages.processes import first_failure_speaks
from generatect.stages.reading import line_on_reports
from generatect.text.conditioner import check_conditioner

NO_VALIDATION = (
    "no validation: no patient falls into its share; raise stage.datamodule.val_fraction for one, or say in a column "
    "'split' of the table who trains (train) and who validates (val)"
)


@ended_by_signals
@first_failure_speaks
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
    accumulate: int,
    checkpoint_activations: bool,
    compile: bool,
    seed: int,
    tokenizer: str | None,
    resume: str | None,
    fresh: bool,
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
        accumulate: batches whose gradients make one step of the optimizer.
        checkpoint_activations: whether blocks compute their activations again in the backward pass, to save memory.
        compile: whether networks are compiled.
        seed: of everything random.
        tokenizer: checkpoint of stage `ctvit`; needed by the later stages.
        resume: a `.ckpt` to go on from; "auto": the newest whole one in `output`, or a fresh start without one; a run
            whose steps are all done is written out again and that is all.
        fresh: moves a run that is in `output` aside, and starts anew.
        init: weights to start from, in a new run: a file of this stage, converted ones too.
        cache_dir: folder of computed arrays.

    Raises:
        InputError: a checkpoint is missing, of another stage or of another run, the output cannot be written, holds a
            run or is in use, the data cannot be used, or the trainer cannot do what the stage needs.
    """
    settings, name, started = dict(locals()), stage["name"], time.monotonic()
    check_conditioner(text_encoder)
    check_trainer(stage, trainer, compile=compile)
    callbacks, logger = chosen("callbacks", callbacks), chosen("logger", logger)
    loggers = [build(entry) for entry in logger.values()]  # first of all, for what they refuse
    is_first = rank_zero_only.rank == 0  # of several processes one speaks and writes
    with alone_in(output) as folder:
        checkpoint = _checkpoint(folder, name, resume, init, fresh=fresh)
        pairs = build(data["pairs"])  # before the networks, for what it refuses
        tokenizer_file = find_tokenizer(name, tokenizer)
        identity = _identity(settings, pairs, tokenizer_file)
        changed = [] if checkpoint is None else changes_since(checkpoint, identity)
        if checkpoint is not None and is_finished(checkpoint, steps, min(val_every, steps)):
            _end_finished(checkpoint, folder, settings, changed)
            return
        L.seed_everything(seed, verbose=False)
        torch.set_float32_matmul_precision("high")

        built = assemble(
            name,
            model=model,
            preset=preset,
            text_encoder=text_encoder,
            tokenizer=tokenizer_file,
            cache_dir=cache_dir,
            label_names=tuple(pairs.labels(0) or ()) if name == "ctnet" and len(pairs) else (),
        )
        if init is not None and checkpoint is None:
            file = start_from(built, init, name)
            init = str(file.path)  # of a folder, the file that was found in it
            if is_first and (others := described_otherwise(file.description, built.description)):
                print(f"init={init}: was trained otherwise, and starts this run: {', '.join(others)}")
        notice = getattr(pairs, "notice", None)
        description = {**built.description, "stage": name, "notice": notice}
        datamodule = build(stage["datamodule"], pairs=pairs, preset=built.preset, seed=seed, **built.data)
        refuse_bad(
            pairs,
            datamodule.train_indices,
            datamodule.val_indices,
            doctor=data.get("doctor", "ignore"),
            on_bad=data.get("on_bad", "raise"),
            cache_dir=cache_dir,
        )
        module = build(stage["module"], description=description, accumulate=accumulate, seed=seed, **built.module)
        for network in module.children():
            if checkpoint_activations:
                forget_activations(network)
            if compile:
                compile_network(network)

        if is_first:
            needed = {"tokenizer": tokenizer_file and str(tokenizer_file.path), "init": init}
            if fresh and (aside := move_aside(folder, name, **needed)) is not None:
                print(f"fresh=true: the run that was there is in {aside} now")
            if resume is not None:
                print(_beginning(resume, checkpoint, changed))
            if checkpoint is not None and init is not None:
                print(f"init={init}: not read again, a resumed run has its own weights")
            print(summary(name, built, datamodule, steps))
            if line := line_on_reports(built.module, datamodule):
                print(line)
        if not datamodule.val_indices:
            if is_first:
                print(NO_VALIDATION)
            callbacks = {key: node for key, node in callbacks.items() if not node.get("monitor", "").startswith("val/")}
        for key in [key for key, node in callbacks.items() if "_target_" not in node]:
            if is_first:
                print(f"callbacks.{key}: not among the callbacks chosen; its settings have no effect")
            del callbacks[key]
        shown = {key: {"preset": built.preset, "notice": notice} if key == "previews" else {} for key in callbacks}
        parts = [RunRecord(folder, settings, identity, changed)]
        parts += [build(entry, **shown[key]) for key, entry in callbacks.items()]
        if not trainer.get("enable_progress_bar", True):
            parts = [part for part in parts if not isinstance(part, ProgressBar)]
        runner = build(
            trainer,
            enable_progress_bar=any(isinstance(part, ProgressBar) for part in parts),  # not one of Lightning's
            limit_train_batches=steps,
            val_check_interval=min(val_every, steps),
            callbacks=parts,
            logger=loggers,
        )
        try:
            runner.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"stage {name}: out of memory at stage.datamodule.batch_size={datamodule.batch_size}; lower it and "
                "raise accumulate, choose checkpoint_activations=true, precision=bf16 or strategy=fsdp, or a smaller "
                "model"
            ) from error

        runner.save_checkpoint(folder / LATEST, weights_only=False)
        if runner.is_global_zero:
            export(folder / LATEST, name, folder)
            print(closing(name, folder, tokenizer, time.monotonic() - started))


def chosen(group: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a group's members that are not null, by which a command line does without one.

    Raises:
        InputError: a member that is something else than settings.
    """
    for key, node in members.items():
        if node is not None and not isinstance(node, Mapping):
            raise InputError(f"{group}.{key}={node}: expected its settings, or null to do without it")
    return {key: node for key, node in members.items() if node is not None}


def _checkpoint(folder: Path, stage: str, resume: str | None, init: str | None, *, fresh: bool) -> Path | None:
    """The checkpoint to go on from; None for a start that writes over nothing."""
    if resume is not None and fresh:
        raise InputError(f"fresh=true with resume={resume}: a run starts anew or goes on; give one of the two")
    if resume not in (None, "auto") and init is not None:
        raise InputError(f"init={init}: a resumed run has its own weights; give init or resume, not both")
    path = checkpoint_to_resume(resume, stage, folder)
    if rank_zero_only.rank == 0 and not fresh:
        refuse_to_overwrite(folder, stage, path)
    return None if path is None else Path(path)


def _identity(settings: Mapping[str, Any], pairs: Pairs, tokenizer: StageFile | None) -> dict[str, Any]:
    """What this run is told apart by, found before a network is built."""
    stage, split = settings["stage"], ("val_fraction", "max_val_items", "max_train_items")
    data = {key: value for key, value in stage["datamodule"].items() if key in split}
    return settings_of_run(
        settings,
        parts=PARTS[stage["name"]],
        tokenizer=tokenizer
        and {"codebook_sha256": codebook_sha256(tokenizer), "preset": tokenizer.description.get("preset")},
        data=describe_sides(pairs, sides_of(pairs, seed=settings["seed"], **data)),
    )


def _beginning(resume: str, checkpoint: Path | None, changed: list[str]) -> str:
    """Where a run begins that may go on, and with which other settings."""
    setting = "resume=auto" if resume == "auto" else "resume"
    if checkpoint is None:
        return f"{setting}: nothing there, a fresh start"
    return f"{setting}: going on from {checkpoint}" + (f" with {', '.join(changed)}" if changed else "")


def _end_finished(checkpoint: Path, folder: Path, settings: Mapping[str, Any], changed: list[str]) -> None:
    """Writes a run whose steps are all done out again.

    Raises:
        InputError: it was to go on from a checkpoint that somebody named.
    """
    done, steps = steps_done(load_tensors(checkpoint)), settings["steps"]
    if settings["resume"] != "auto":
        raise InputError(f"resume={checkpoint}: its {done} steps are done, steps={steps} leaves none; raise steps")
    if rank_zero_only.rank == 0:
        without = f"; nothing is trained with {', '.join(changed)}" if changed else ""
        print(f"all {done} steps are done{without}")
        export(checkpoint, settings["stage"]["name"], folder)


def export(checkpoint: Path, stage: str, folder: Path) -> None:
    """Writes what a checkpoint holds for use, without the state of training, as `FOLDER/STAGE.safetensors`."""
    file, output = read_stage_file(checkpoint, stage), folder / f"{stage}.safetensors"
    write_stage_file(output, file.description, file.state_to_use())
    print(f"wrote {output}")


def summary(name: str, built: Assembled, data: PairsDataModule, steps: int) -> str:
    """What is about to happen, in two lines."""
    sizes = ", ".join(
        f"{key} {_million(sum(p.numel() for p in network.parameters()))}"
        for key, network in built.module.items()
        if isinstance(network, torch.nn.Module)
    )
    z, y, x = built.preset.grid.shape_zyx
    preset = built.preset.name if name in ("ctvit", "ctnet") else f"{built.preset.name} (the tokenizer's)"
    return (
        f"stage {name}: {sizes}\n"
        f"{len(data.train_indices)} volumes to train and {len(data.val_indices)} to validate on, "
        f"{z} × {y} × {x} voxels, preset {preset}, {steps} steps"
    )


def _million(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count:,}"


if __name__ == "__main__":
    run_command("train", train)
