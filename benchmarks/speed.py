"""Every stage against the original's way of computing: time, memory, share of what this machine can do.

    python benchmarks/speed.py --output outputs/benchmarks            # everything
    python benchmarks/speed.py --only "token step" --rounds 2         # some of it

Protocol: the same weights and inputs; results are compared first; then the two ways by turns, A B A B, in one process
for each case, and medians of CPU seconds (of seconds on a GPU). Peak memory is what the first evaluation of a fresh
process holds above what was held before it. The first evaluation, with what it compiles, is not timed with the others
but listed apart. The ceiling is the product of two matrices in the same process. Published sizes with random weights,
unless it says otherwise; fp32.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import machine
from rich.console import Console
from rich.table import Table
from speed_cases import CASES, Case
from speed_page import write_page

from generatect.files import atomic_path
from generatect.placement import pick_device
from generatect.planning.memory import held_bytes, peak_bytes, reset_peak


def measured(work: Callable[[], Any], device: torch.device) -> tuple[float, int, Any]:
    """Seconds, peak bytes above what was held, and the result."""
    gc.collect()
    reset_peak(device)
    held = held_bytes(device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = clock() - started
    return seconds, max(0, (peak_bytes(device) or 0) - held), result


def ceiling_flops(device: torch.device) -> float:
    """Operations a second of a product of large matrices."""
    matrix = torch.randn(1536, 1536, device=device)
    seconds = [measured(lambda: matrix @ matrix, device)[0] for _ in range(5)]
    return 2 * 1536**3 / min(seconds)


def run_case(case: Case, rounds: int, device: torch.device) -> dict[str, Any]:
    """Compares, then times by turns."""
    first_seconds, _, ours = measured(case.ours, device)
    result: dict[str, Any] = {"flops": case.flops, "goal": case.goal, "memory_goal": case.memory_goal}
    result["first_seconds"] = first_seconds
    ways = {"plain": case.plain, "ours": case.ours} if case.plain else {"ours": case.ours}
    if case.plain:
        expected = measured(case.plain, device)[2]
        if case.tolerance is not None:
            difference = ((case.whole(ours) - expected).abs().max() / expected.abs().max()).item()
            assert difference <= case.tolerance, f"results differ by {difference:.1e}"
            result["difference"] = difference
        del expected
    del ours
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, work in ways.items():
            times[way].append(measured(work, device)[0])
    result["all_seconds"] = times
    result["seconds"] = {way: statistics.median(values) for way, values in times.items()}
    result["ceiling_flops"] = ceiling_flops(device)
    if case.flops:
        result["share_of_ceiling"] = case.flops / result["seconds"]["ours"] / result["ceiling_flops"]
    if case.plain:
        result["ratio"] = result["seconds"]["plain"] / result["seconds"]["ours"]
    return result


def in_new_process(arguments: list[str]) -> Any:
    """What this file prints last, as JSON, when it is called with these arguments."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(results: dict[str, dict[str, Any]], title: str) -> None:
    """The table."""
    columns = ("plain, s", "ours, s", "faster", "goal", "peak plain, GB", "ours, GB", "less", "goal", "of ceiling")
    table = Table("what", *columns, title=title)
    for name, row in results.items():
        seconds, peaks = row["seconds"], row["peak_bytes"]
        plain = (f"{seconds['plain']:.3g}", f"{peaks['plain'] / 1e9:.2f}") if "plain" in seconds else ("–", "–")
        table.add_row(
            name,
            plain[0],
            f"{seconds['ours']:.3g}",
            f"{row['ratio']:.2f} ×" if "ratio" in row else "",
            f"≥ {row['goal']:g}" if row["goal"] else "",
            plain[1],
            f"{peaks['ours'] / 1e9:.2f}",
            f"{row['memory_ratio']:.1f} ×" if "memory_ratio" in row else "",
            f"≥ {row['memory_goal']:g}" if row["memory_goal"] else "",
            f"{row['share_of_ceiling']:.0%}" if "share_of_ceiling" in row else "",
        )
    Console(width=150).print(table)


def main() -> None:
    """All cases, each in a process of its own; or one, for such a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder of speed.json, .html")
    parser.add_argument("--rounds", type=int, default=3, help="evaluations of each way")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="on a CPU")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=("plain", "ours"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    device = pick_device(settings.device)
    torch.set_num_threads(settings.threads)
    if settings.case:
        torch.manual_seed(0)
        with torch.inference_mode("training" not in settings.case and "cycle" not in settings.case):
            case = CASES[settings.case](device)
            if settings.memory:
                print(measured(getattr(case, settings.memory), device)[1])
            else:
                print(json.dumps(run_case(case, settings.rounds, device)))
        return

    settings.output.mkdir(parents=True, exist_ok=True)
    path = settings.output / "speed.json"
    kept = json.loads(path.read_text())["cases"] if path.is_file() and settings.only else {}
    for name in [name for name in CASES if settings.only in name]:
        arguments = ["--case", name, "--rounds", str(settings.rounds), "--device", str(device)]
        arguments += ["--threads", str(settings.threads)]
        row = {**in_new_process(arguments), "threads": settings.threads}
        row["peak_bytes"] = {way: in_new_process([*arguments, "--memory", way]) for way in row["seconds"]}
        if "ratio" in row:
            row["memory_ratio"] = row["peak_bytes"]["plain"] / max(1, row["peak_bytes"]["ours"])
        kept[name] = row
        print(f"{name}: {kept[name]['seconds']}", flush=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"machine": machine(), "cases": kept}, indent=2) + "\n", encoding="utf-8")
    results = {name: kept[name] for name in CASES if name in kept}
    show(results, f"fp32, {device}, {settings.threads} thread(s)")
    write_page(path, settings.output / "speed.html")
    print(f"wrote {path} {settings.output / 'speed.html'}")


if __name__ == "__main__":
    main()
