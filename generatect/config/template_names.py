"""Names of the Lightning-Hydra template, which many know by heart, and what they are called here."""

from generatect.errors import InputError

INSTEAD = {
    "experiment": "experiments=NAME, such as experiments=phantom/ctvit",
    "ckpt_path": "resume=auto or resume=FILE.ckpt to go on with a run, init=FILE to start a new one from its weights",
    "model.optimizer.lr": "stage.module.optimizer.lr",
    "model.optimizer": "stage.module.optimizer",
    "model.scheduler": "stage.module.warmup_steps and stage.module.final_lr_ratio",
    "model.compile": "compile=true",
    "data.batch_size": "stage.datamodule.batch_size",
    "data.num_workers": "stage.datamodule.num_workers",
    "data.data_dir": "data=folder data.root=FOLDER data.table=CSV",
    "data_dir": "data=folder data.root=FOLDER data.table=CSV",
    "paths": "output=FOLDER for results, data.root=FOLDER for data, cache_dir=FOLDER for what is computed once",
    "train": "python -m generatect.evaluate or python -m generatect.prove to judge weights without training them",
    "test": "python -m generatect.evaluate or python -m generatect.prove, once the training is done",
    "task_name": "output=FOLDER",
    "tags": "logger=wandb logger.wandb.tags=[…]",
    "extras": "nothing: warnings are quiet by themselves",
    "hparams_search": "python -m generatect.search",
    "optimized_metric": "python -m generatect.search metric=val/loss",
}
"""Key → what to set instead; a key below one of them counts as that one."""
ACCELERATORS, STRATEGIES = ("cpu", "gpu", "cuda", "mps", "tpu", "default"), ("ddp", "fsdp", "ddp_sim")
CHOICES = {
    ("callbacks", "none"): "callbacks=[progress,latest] takes these alone, ~callbacks.previews leaves one out",
    ("logger", "none"): "logger=csv writes one small file and nothing else",
    ("logger", "tensorboard"): "logger=csv, whose metrics.csv any program reads, or logger=wandb",
    ("logger", "many_loggers"): "logger=[csv,wandb]",
    ("debug", "default"): "debug=fast, overfit or profile",
    ("debug", "limit"): "debug=fast, overfit or profile",
    ("debug", "fdr"): "debug=fast",
}
"""A choice of the template's → what there is here."""


def instead_of(key: str) -> str | None:
    """What to set instead of a key of the template; None for any other key."""
    while key:
        if key in INSTEAD:
            return INSTEAD[key]
        key = key.rpartition(".")[0]
    return None


def refuse_words_of_template(overrides: list[str]) -> None:
    """Refuses choices of a group that is none here: Hydra would put the word in the place of all its settings.

    Raises:
        InputError: `trainer=gpu` and its like.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "trainer" and value in ACCELERATORS:
            accelerator = "auto" if value == "default" else value
            raise InputError(f"{override}: trainer is no group; use trainer.accelerator={accelerator}")
        if key == "trainer" and value in STRATEGIES:
            meant = "strategy=fsdp" if value == "fsdp" else "strategy=ddp"
            raise InputError(f"{override}: trainer is no group; use {meant} trainer.devices=NUMBER")
