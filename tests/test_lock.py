"""One process at a time holds a folder; a killed one holds nothing."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from generatect.errors import InputError
from generatect.lock import only_process

HOLD = """
import sys, time
from pathlib import Path
from generatect.lock import only_process
with only_process(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_held_folder_is_refused_with_host_and_process(tmp_path, holder):
    with (
        pytest.raises(InputError, match=rf"host {socket.gethostname()}, process {holder.pid}\b"),
        only_process(tmp_path),
    ):
        pass


def test_a_killed_holder_stops_nobody(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with only_process(tmp_path):
        assert (tmp_path / ".lock").read_text().endswith(f"process {os.getpid()}")
    assert list(tmp_path.iterdir()) == []


def test_worker_processes_of_a_killed_holder_stop_nobody(tmp_path):
    worker = (
        "    if os.fork() == 0:\n        print('forked', flush=True)\n        time.sleep(60)\n        os._exit(0)\n"
    )
    forking = HOLD.replace("import sys", "import os, sys").replace("    print", f"{worker}    print")
    command = [sys.executable, "-c", forking, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert {process.stdout.readline() for _ in range(2)} == {"held\n", "forked\n"}
        process.kill()
        process.wait()
        try:
            with only_process(tmp_path):
                pass
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the worker


def test_shares_of_one_folder_do_not_exclude_each_other(tmp_path):
    with (
        only_process(tmp_path, share="shard 0"),
        only_process(tmp_path, share="shard 1"),
        pytest.raises(InputError, match="shard 1 in it"),
        only_process(tmp_path, share="shard 1"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
