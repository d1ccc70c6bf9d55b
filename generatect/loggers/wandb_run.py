"""Weights & Biases as a guest: it may fail, and it learns no more than it is told."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import wandb

from generatect.errors import InputError
from generatect.loggers.run import Run
from generatect.loggers.run_logger import RunLogger
from generatect.loggers.sent import Sent
from generatect.loggers.wandb_login import require_login

MODES = ("online", "offline", "disabled")
WAIT_S = 30
"""Longest wait for the server, at the start and at the end of a training."""


class WandbLog(RunLogger):
    """Logs a run to W&B, under the same id after every resume.

    What fails in W&B is one warning and never ends or holds up a training: a server that cannot be reached makes the
    run an offline one, which `wandb sync` uploads later. W&B cannot take back what it has, so a resumed run sends
    nothing a second time; `sent.json` in W&B's folder notes the last step of each metric, and how many rows there are.
    What W&B's process still held when a run was killed without notice is lost to W&B, and stands in the CSV alone.

    Names of machine and user, paths, git remotes and the terminal's output are not sent.

    Args:
        folder: W&B's files go to `wandb/` in it.
        project: of W&B.
        name: of the run, as W&B shows it.
        entity: user or team; None for the default of the login.
        mode: "online", "offline" or "disabled"; None for what the variable WANDB_MODE says, else "online".
        upload_private: send previews, names of volumes and prompts too. Without, tables carry row numbers.

    Raises:
        InputError: an unknown mode, or "online" where nobody is logged in.
    """

    def __init__(
        self,
        *,
        folder: str,
        project: str = "generatect",
        name: str | None = None,
        entity: str | None = None,
        mode: str | None = None,
        upload_private: bool = False,
    ) -> None:
        super().__init__()
        mode = mode or os.environ.get("WANDB_MODE") or "online"
        mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)  # W&B's old names
        if mode not in MODES:
            raise InputError(f"logger.wandb.mode={mode}: expected {', '.join(MODES)}")
        require_login(mode)
        self.folder, self.project, self.title, self.entity, self.mode = Path(folder), project, name, entity, mode
        self.upload_private = upload_private
        self._experiment: Any = None
        self._sent = Sent(self.folder / "wandb" / "sent.json")

    def begin(self, run: Run, steps_done: int) -> None:
        """Opens W&B's run."""
        super().begin(run, steps_done)
        if run.is_resumed:
            self._sent.remember()
        if self.mode == "disabled":
            return
        if self.mode == "online" and not self._try("cannot be reached, the run is kept offline", self._open):
            self.mode = "offline"
        if self.mode == "offline" and not self._try("does not start", self._open):
            return
        where = self._experiment.url if self.mode == "online" else f"offline; `wandb sync {self._folder()}` uploads it"
        print(f"W&B run {run.id}: {where}")

    def write(self, values: dict[str, float], steps_done: int) -> None:
        """Sends the numbers that W&B does not have yet."""
        self._send(dict(values), steps_done)

    def log_picture(self, key: str, path: Path, caption: str, steps_done: int) -> None:
        """Sends a picture, if pictures may be sent."""
        if self.upload_private and self._experiment is not None:
            self._try(
                "takes no picture", lambda: self._send({key: wandb.Image(str(path), caption=caption)}, steps_done)
            )

    def log_table(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], private: Sequence[str], steps_done: int
    ) -> None:
        """Sends a table, without its private columns unless these may be sent."""
        if self._experiment is None:
            return
        kept = [i for i, name in enumerate(columns) if self.upload_private or name not in private]
        data = [[row[i] for i in kept] for row in rows]
        self._try(
            "takes no table",
            lambda: self._send({key: wandb.Table(columns=[columns[i] for i in kept], data=data)}, steps_done),
        )

    def finalize(self, status: str) -> None:
        """Closes W&B's run; what is not uploaded within `WAIT_S` stays on the disk."""
        if self._experiment is not None:
            experiment, self._experiment = self._experiment, None
            self._try(
                f"is not done uploading; `wandb sync {self._folder()}` does the rest",
                lambda: experiment.finish(exit_code=int(status != "success")),
            )

    def _open(self) -> None:
        run = self.run
        assert run is not None
        settings = wandb.Settings(
            silent=True,
            console="off",
            host="",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=WAIT_S,
            finish_timeout=WAIT_S,
            finish_timeout_raises=True,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        stdin = sys.stdin
        try:
            with open(os.devnull, encoding="utf-8") as sys.stdin:  # W&B has nobody to ask
                wandb.setup(wandb.Settings(silent=True))
                self._experiment = wandb.init(
                    project=self.project,
                    entity=self.entity,
                    id=run.id,
                    name=self.title or run.stage,
                    job_type=run.stage,
                    dir=str(self.folder),
                    mode=self.mode,  # type: ignore[arg-type]  # one of MODES
                    resume="allow" if self.mode == "online" else None,
                    reinit="create_new",
                    config={**run.settings, "code": run.code},
                    allow_val_change=True,
                    settings=settings,
                )
        finally:
            sys.stdin = stdin
        self._experiment.define_metric("step")
        self._experiment.define_metric("*", step_metric="step")

    def _send(self, values: dict[str, Any], steps_done: int) -> None:
        new = self._sent.without_old(values, steps_done)
        if self._experiment is None or not new:
            return
        row, number = {**new, "step": steps_done}, self._sent.num_rows  # which goes on after a resume, offline too
        if self._try("takes no numbers any more", lambda: self._experiment.log(row, step=number, commit=True)):
            self._sent.note(new, steps_done)

    def _try(self, trouble: str, action: Callable[[], object]) -> bool:
        """Whether an action went well; where not, says so, and W&B is left alone from then on."""
        try:
            with warnings.catch_warnings(), _data_kept_in(self.folder / "wandb"):
                warnings.simplefilter("ignore")  # of its own use of pydantic and protobuf
                action()
        except Exception as error:  # whatever a guest does wrong, the training goes on
            self._experiment = None
            with contextlib.suppress(Exception):
                wandb.teardown()  # or it would try again, and fail again, when Python ends
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            print(f"warning: W&B {trouble} ({reason}); all numbers are in logs/metrics.csv too", file=sys.stderr)
            return False
        return True

    def _folder(self) -> str:
        assert self.run is not None
        return str(self.folder / "wandb" / f"*{self.run.id}*")


@contextlib.contextmanager
def _data_kept_in(folder: Path) -> Iterator[None]:
    """Keeps tables that wait for their upload beside the run and not in the user's home, unless the user says so."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]
