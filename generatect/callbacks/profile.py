"""Records where the time of a few training steps goes."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.profiler import ProfilerActivity, profile

from generatect.files import atomic_path

TRACE, TABLE = "trace.json.gz", "costliest.txt"


class Profile(L.Callback):
    """Runs torch's profiler over a few steps, writes its trace, and prints the costliest operations.

    Args:
        folder: of the trace and the table.
        first: step, from 1, that is recorded first.
        num_steps: so many are recorded.
        num_rows: operations in the table.
    """

    def __init__(self, *, folder: str, first: int = 6, num_steps: int = 4, num_rows: int = 12) -> None:
        self.folder, self.first, self.last, self.num_rows = Path(folder), first, first + num_steps - 1, num_rows
        self.profiler: profile | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begins to record."""
        if trainer.is_global_zero and batch_idx + 1 == self.first:
            on_gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
            self.profiler = profile(activities=[ProfilerActivity.CPU, *on_gpu], profile_memory=True)
            self.profiler.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the recording and writes it."""
        if self.profiler is not None and batch_idx + 1 == self.last:
            self._finish()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A training shorter than the recording is recorded to its end."""
        if self.profiler is not None:
            self._finish()

    def _finish(self) -> None:
        assert self.profiler is not None
        self.profiler.stop()
        with atomic_path(self.folder / TRACE) as temporary:
            # torch compresses by the ending of the name, which a temporary file does not have
            compressed = temporary.with_name(f"{temporary.name}.gz")
            self.profiler.export_chrome_trace(str(compressed))
            compressed.replace(temporary)
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        events = self.profiler.key_averages()
        with atomic_path(self.folder / TABLE) as temporary:
            temporary.write_text(events.table(sort_by=by, row_limit=100), encoding="utf-8")
        print(events.table(sort_by=by, row_limit=self.num_rows, max_name_column_width=40))
        print(f"wrote {self.folder / TRACE} and {self.folder / TABLE}")
        self.profiler = None
