"""Two hosts: network namespaces of this machine, joined by a cable that can be pulled out."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generatect.checkpoints.resume import steps_done
from generatect.checkpoints.safe_load import load_tensors

ADDRESSES = ("10.77.0.1", "10.77.0.2")
QUICK = ["stage=ctvit", "model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu"]
QUICK += ["~callbacks.progress", "~callbacks.previews", "~callbacks.tables"]
TWO_HOSTS = ["strategy=ddp", "trainer.devices=1", "trainer.num_nodes=2"]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Names of two network namespaces; `ip -n NAME link set eth0 down` pulls the cable."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need the program ip (Debian: iproute2) and root")
    names = [f"generatect-{os.getpid()}-{number}" for number in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", "eth0", "netns", names[0], "type", "veth", "peer", "name", "eth0", "netns", names[1])
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def start(host: str, number: int, folder: Path, *overrides: str) -> subprocess.Popen:
    """torchrun on one host, as docs/training.md has it; what it prints goes to `FOLDER/NUMBER.txt`."""
    torchrun = ["torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=one"]
    torchrun += [f"--rdzv-endpoint={ADDRESSES[0]}:29500", f"--local-addr={ADDRESSES[number]}"]
    torchrun += [f"--rdzv-conf=is_host={number == 0}", "-m", "generatect.train"]  # a namespace has no name of its own
    settings = [*QUICK, *TWO_HOSTS, f"output={folder}/out", f"cache_dir={folder}/cache", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / f"{number}.txt").open("w") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, "-m", *torchrun, *settings],
            cwd=folder,
            env={**environment, "GLOO_SOCKET_IFNAME": "eth0"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def test_a_training_over_two_hosts(hosts, tmp_path):
    ended = [start(host, number, tmp_path, "steps=4", "val_every=4") for number, host in enumerate(hosts)]
    logs = [tmp_path / f"{number}.txt" for number in range(2)]
    assert [process.wait(240) for process in ended] == [0, 0], [log.read_text() for log in logs]
    assert steps_done(load_tensors(tmp_path / "out" / "last.ckpt")) == 4
    assert "wrote" in logs[0].read_text()
    assert "no sign of life" not in logs[0].read_text() + logs[1].read_text()


def test_hosts_without_a_cable_end_within_a_minute(hosts, tmp_path):
    """One loses the rendezvous, the other its peer: both are alone then, and each says so in one line."""
    endless = ("steps=100000", "val_every=100000", "callbacks.latest.every=5")
    running = [start(host, number, tmp_path, *endless) for number, host in enumerate(hosts)]
    logs = [tmp_path / f"{number}.txt" for number in range(2)]
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "out" / "last.ckpt").exists():
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in running), [log.read_text() for log in logs]
            time.sleep(0.2)
        ip("-n", hosts[1], "link", "set", "eth0", "down")
        deadline = time.monotonic() + 60
        codes = [process.wait(deadline - time.monotonic()) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert all(codes)
    for log in logs:
        said = [line for line in log.read_text().splitlines() if "no sign of life from " in line]
        assert len(said) == 1
        assert "resume=auto" in said[0]
    assert ADDRESSES[0] in said[0]
