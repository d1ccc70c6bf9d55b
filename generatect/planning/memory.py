"""How much memory there is, and what "8GB" means."""

import contextlib
import os
import re
from pathlib import Path

import torch

from generatect.errors import InputError

GB = 10**9
_UNITS = {"": GB, "GB": GB, "MB": 10**6, "GIB": 2**30, "MIB": 2**20}
_SHARE_OF_FREE = 0.9  # of what is free now, `auto` leaves the rest to others


def memory_budget(memory: str, device: torch.device) -> int:
    """Bytes that this process may hold: on a GPU of its memory, otherwise of the machine's.

    Args:
        memory: a size such as 8GB, 7.5GiB or 8 (GB), or auto for nearly all that is free now.
        device: where networks compute.

    Raises:
        InputError: neither.
    """
    text = str(memory).strip()
    if text.lower() == "auto":
        return int(_SHARE_OF_FREE * free_bytes(device)) + held_bytes(device)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    if not found or found[2].upper() not in _UNITS or float(found[1]) == 0:
        raise InputError(f"memory={memory}: expected auto or a size such as 8GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def free_bytes(device: torch.device) -> int:
    """Bytes that could still be taken."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():  # counts what the kernel would give up
        free = [_kilobytes(meminfo.read_text(encoding="ascii"), "MemAvailable")]
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        free.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(free)


def held_bytes(device: torch.device) -> int:
    """Bytes that this process holds now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    status = Path("/proc/self/status")
    return _kilobytes(status.read_text(encoding="utf-8"), "VmRSS") if status.is_file() else 0


def reset_peak(device: torch.device) -> None:
    """Counts the peak anew from here, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # Linux alone, and not in every container
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes(device: torch.device) -> int | None:
    """Most bytes that this process has held since `reset_peak`; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    return _kilobytes(status.read_text(encoding="utf-8"), "VmHWM") if status.is_file() else None


def _kilobytes(text: str, key: str) -> int:
    found = re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
