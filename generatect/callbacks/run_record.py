"""Opens a run's record and its loggers, and keeps them in step with the checkpoints."""

import sys
from pathlib import Path
from typing import Any

import lightning as L

from generatect.callbacks.latest import latest_of
from generatect.callbacks.steps import steps_done
from generatect.loggers.code_version import code_version
from generatect.loggers.hidden_paths import command_without_paths, without_paths
from generatect.loggers.run import open_run
from generatect.loggers.run_logger import RunLogger


class RunRecord(L.Callback):
    """Writes `run.json` and begins every logger of ours; a resumed run goes on with both.

    Args:
        folder: the run's output.
        settings: the resolved configuration.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The checkpoint, if there is one, has been read: it is known how many steps are done."""
        if not trainer.is_global_zero:
            return
        done, latest = steps_done(trainer), latest_of(trainer)
        run = open_run(
            self.folder,
            self.settings["stage"]["name"],
            settings=without_paths(self.settings),
            code=code_version(pl_module.device, trainer.world_size),
            command=["python", "-m", "generatect.train", *command_without_paths(sys.argv[1:])],
            from_step=done,
            checkpoints=None if latest is None else latest.run,
        )
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.begin(run, done)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Logs the step before its checkpoint is written, or a run killed in between would never log it.

        Lightning logs it again after the step; our loggers keep one of each.
        """
        connector = trainer._logger_connector
        if trainer.training and trainer.state.fn == "fit" and connector.should_update_logs:
            connector.log_metrics(connector.metrics["log"])
