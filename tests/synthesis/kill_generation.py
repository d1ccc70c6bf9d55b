"""Generates a table of prompts in shards, each killed several times at random moments; run by a test, or by hand.

The command is imported once and then forked, since importing takes longer than everything else here together.

    python kill_generation.py NUM_SHARDS NUM_KILLS OVERRIDES…

Prints a line of JSON: how many processes were killed while they worked, and how the last one of each shard ended.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from generatect.config.job import resolve
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.generate import generate


def start(settings: dict, index: int, count: int) -> int:
    """A process that does one shard; its number."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            with open(os.devnull, "w") as nowhere:
                sys.stdout = nowhere
                generate(**{**settings, "shard": {"index": index, "count": count}})
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return process


def main(num_shards: int, num_kills: int, overrides: list[str]) -> None:
    torch.set_num_threads(1)
    register_resolvers()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        settings = resolve(compose("generate", overrides=overrides))
    chance, killed, codes = random.Random(0), 0, []
    folder = Path(settings["output"])
    for index in range(num_shards):
        for _ in range(num_kills):
            process, before = start(settings, index, num_shards), len(list(folder.glob("*.nii.gz")))
            while not os.waitpid(process, os.WNOHANG)[0] and len(list(folder.glob("*.nii.gz"))) == before:
                time.sleep(0.005)  # a process that is killed before its first volume tells nothing
            time.sleep(chance.uniform(0, 0.4))
            try:
                os.kill(process, signal.SIGKILL)
                killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
            except (ProcessLookupError, ChildProcessError):  # it was done before
                continue
        codes.append(os.waitstatus_to_exitcode(os.waitpid(start(settings, index, num_shards), 0)[1]))
    print(json.dumps({"killed": killed, "codes": codes}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
