"""Opens a run's record and its loggers, keeps them in step with the checkpoints, and says by what a run is trained."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from generatect.callbacks.latest import latest_of
from generatect.callbacks.steps import say, steps_done
from generatect.checkpoints.run_folder import write_settings
from generatect.checkpoints.same_run import SETTINGS_KEY
from generatect.loggers.code_version import code_version
from generatect.loggers.hidden_paths import command_without_paths, without_paths
from generatect.loggers.run import open_run
from generatect.loggers.run_logger import RunLogger

PROCESSES_KEY = "generatect_processes"


class RunRecord(L.Callback):
    """Writes `config.yaml` and `run.json` and begins every logger of ours; a resumed run goes on with them.

    Args:
        folder: the run's output.
        settings: the resolved configuration.
        identity: what the run is told apart by, for its checkpoints; see `settings_of_run`.
        changed: settings that differ from those which a resumed run was trained by before, one a line.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], identity: dict[str, Any], changed: Sequence[str] = ()
    ) -> None:
        self.folder, self.settings, self.identity, self.changed = folder, settings, identity, list(changed)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The checkpoint, if there is one, has been read: it is known how many steps are done."""
        if not trainer.is_global_zero:
            return
        write_settings(self.folder, self.settings)
        done, latest = steps_done(trainer), latest_of(trainer)
        run = open_run(
            self.folder,
            self.settings["stage"]["name"],
            settings=without_paths(self.settings),
            code=code_version(pl_module.device, trainer.world_size),
            command=["python", "-m", "generatect.train", *command_without_paths(sys.argv[1:])],
            from_step=done,
            checkpoints=None if latest is None else latest.run,
            changed=self.changed,
        )
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.begin(run, done)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Says by what it was trained; and logs the step first, or a run killed in between would never log it.

        Lightning logs it again after the step; our loggers keep one of each.
        """
        checkpoint[SETTINGS_KEY], checkpoint[PROCESSES_KEY] = self.identity, trainer.world_size
        connector = trainer._logger_connector
        if trainer.training and trainer.state.fn == "fit" and connector.should_update_logs:
            connector.log_metrics(connector.metrics["log"])

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Says it where other processes are to share the work than before: `devices: auto` does not."""
        before = checkpoint.get(PROCESSES_KEY, trainer.world_size)
        if before != trainer.world_size:
            self.changed.append(f"processes {before} → {trainer.world_size}")
            say(trainer, f"resume: {self.changed[-1]}")
