"""What a Fréchet statistic of a million Inception features costs: time and peak memory, in a process of its own.

    python benchmarks/metrics.py

Batches of 2048 features are made on the fly and thrown away, as a detector's are; at the end the distance to a second
set is computed. Needs no GPU and fetches nothing. The goal is 1 GB of memory for a million features.
"""

import argparse
import platform
import resource
import sys
import time

import torch

from generatect.metrics.frechet import FeatureStatistics, frechet_distance

WIDTH, PER_BATCH = 2048, 2000
GOAL_GB = 1.0


def gathered(num: int, seed: int) -> FeatureStatistics:
    """Statistics of `num` seeded features, like Inception's: not negative, few of them large."""
    generator, statistics = torch.Generator().manual_seed(seed), FeatureStatistics(WIDTH)
    for start in range(0, num, PER_BATCH):
        batch = torch.randn(min(PER_BATCH, num - start), WIDTH, generator=generator)
        statistics.update(batch.clamp_(min=0).mul_(0.5))
    return statistics


def main() -> None:
    """Measures, prints, and fails where the goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--num", type=int, default=1_000_000)
    num = parser.parse_args().num
    started, cpu = time.monotonic(), time.process_time()
    statistics = gathered(num, 0)
    streamed, cpu_streamed = time.monotonic() - started, time.process_time() - cpu
    other = gathered(PER_BATCH * 2, 1)
    started = time.monotonic()
    distance = frechet_distance(statistics, other)
    seconds = time.monotonic() - started
    scale = 1 if sys.platform == "darwin" else 1024
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9
    print(f"machine: {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{num:,} features of {WIDTH}: {streamed:.0f} s to stream ({cpu_streamed:.0f} s of CPU)")
    print(f"their distance to {PER_BATCH * 2:,} others, {distance:.3f}: {seconds:.1f} s")
    print(f"peak memory of the process: {peak_gb:.2f} GB, torch among it (goal: {GOAL_GB:.0f} GB)")
    if peak_gb > GOAL_GB:
        sys.exit("more than the goal")


if __name__ == "__main__":
    main()
