"""Prepares an archive twenty times, each time in a process that SIGKILL ends at a random moment; run by a test.

The command is imported once and then forked, since importing takes longer than everything else here together. Every
other time only the main process is killed, and its workers have to end by themselves.

    python kill_preparation.py OVERRIDES…

Prints a line of JSON for each time: how the process ended, and what was in the cache then.
"""

import ctypes
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from hydra import compose, initialize_config_dir

from generatect.config.build import build
from generatect.config.job import resolve
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.preparation import carry_out, survey
from generatect.data.preparation_steps import VolumeArrays
from generatect.prepare import prepare

NUM_KILLS = 20
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


def work(settings: dict, in_processes: bool) -> None:
    """The command with one worker; or its pass with two, which are forked for the same reason as all of this."""
    if not in_processes:
        prepare(**{**settings, "workers": 1})
        return
    cache = ArrayCache(settings["cache_dir"])
    cache.remove_unfinished()
    inputs = ModelInputs(build(settings["data"]["pairs"]), build(settings["preset"]), cache)
    steps = [VolumeArrays(inputs, settings["resolutions"]).step(2, "fork")]
    todo = survey(steps, len(inputs.pairs), lambda items, _: items)
    carry_out(steps, todo, cache.folder, lambda *_: None)


def count(folder: Path, suffix: str) -> int:
    """Files below a folder, unfinished ones if the suffix is theirs."""
    return sum(name.endswith(suffix) for _, _, names in os.walk(folder) for name in names)


def kill_one(settings: dict, kill: int, chance: random.Random) -> dict:
    """One process from start to end."""
    cache = Path(settings["cache_dir"])
    before = count(cache, ".npy")
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            work(settings, in_processes=kill % 2 == 0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    wanted = before + chance.randint(1, 20)
    while count(cache, ".npy") < wanted and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)
    time.sleep(chance.random() * 0.03)
    if kill % 4 < 2:
        os.kill(process, signal.SIGKILL)
    else:
        os.killpg(process, signal.SIGKILL)
    ended = {}
    while True:  # its workers, too, and they have only so long
        try:
            number, status = os.waitpid(-1, 0)
        except ChildProcessError:
            break
        ended[number] = status
    return {
        "signal": os.WTERMSIG(ended[process]) if os.WIFSIGNALED(ended[process]) else 0,
        "processes": len(ended),
        "before": before,
        "entries": count(cache, ".npy"),
        "unfinished": count(cache, ".part"),
    }


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    signal.alarm(300)  # whoever does not end is found out
    register_resolvers()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        settings = resolve(compose("prepare", overrides=sys.argv[1:]))
    chance = random.Random(0)
    for kill in range(NUM_KILLS):
        print(json.dumps(kill_one(settings, kill, chance)), flush=True)
