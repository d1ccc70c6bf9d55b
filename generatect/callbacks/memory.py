"""How much memory a training takes."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import lightning as L
import torch

from generatect.callbacks.steps import is_logged, log_numbers

GB = 1e9


class Memory(L.Callback):
    """Logs, with the step's other numbers, in GB (10⁹ bytes): peak of the GPU, this process, its worker processes.

    The GPU's peak is that of torch's allocations since the last time; the processes' is what is resident in RAM now.
    Memory that processes share counts in each. Of several training processes the first reports its own.
    """

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks only where something is logged."""
        if not is_logged(trainer, batch_idx):
            return
        workers = sum(resident_bytes(worker.pid) for worker in multiprocessing.active_children() if worker.pid)
        values = {"memory/process_gb": resident_bytes(os.getpid()) / GB, "memory/workers_gb": workers / GB}
        if pl_module.device.type == "cuda":
            values["memory/gpu_peak_gb"] = torch.cuda.max_memory_allocated(pl_module.device) / GB
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        log_numbers(trainer, values)


def resident_bytes(pid: int) -> int:
    """What a process holds in RAM; 0 where the system does not say, or the process has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
