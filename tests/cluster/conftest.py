"""SLURM on this machine: a controller and one node, for as long as the tests run."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
CONFIGURATION = """
ClusterName=generatect
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SrunPortRange=60001-63000
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# cred_expire: a requeued job waits until the credential of its first start has expired, two minutes by default.
# CPUs: more than the machine may have, so that no job waits for another.


class Cluster:
    """What a user of it has: `sbatch`, the queue, and `scancel`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *command: str, timeout: float = 60) -> str:
        """Runs one of SLURM's programs and returns what it prints."""
        ended = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def submit(self, script: Path, *options: str) -> str:
        """The number of the job."""
        return self("sbatch", "--parsable", *options, str(script)).strip()

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float = 240) -> None:
        """Returns once something holds; fails where it does not in time."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, what
            time.sleep(0.2)

    def has_ended(self, job: str) -> bool:
        """Whether the queue no longer has the job."""
        ended = subprocess.run(["squeue", "-h", "-j", job], env=self.environment, capture_output=True, text=True)
        return not ended.stdout.strip() or ended.returncode != 0


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A SLURM that runs jobs on this machine, as root, with a configuration of its own."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"SLURM is not installed: no {missing[0]}; Debian has it as slurm-wlm")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons are started as root here")
    folder = tmp_path_factory.mktemp("slurm")
    for parent in (folder, *folder.parents):  # munged wants to be reached by everybody
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        ports = (first.getsockname()[1], second.getsockname()[1])
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder))
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    own = {f"--{name}": f"{folder}/munged.{name}" for name in ("pid-file", "log-file", "seed-file")}
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemons = [subprocess.Popen([*munge, *(f"{key}={value}" for key, value in own.items())], **quiet)]
    try:
        result = Cluster(environment)
        result.wait_until((folder / "munge.socket").exists, "munged", 20)
        daemons += [subprocess.Popen(command, **quiet) for command in (["slurmctld", "-D", "-c"], ["slurmd", "-D"])]

        def is_idle() -> bool:
            said = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
            return said.stdout.strip() == "idle"

        result.wait_until(is_idle, f"no idle node; see {folder}/slurmctld.log", 60)
        yield result
        subprocess.run(["scancel", "--user=root", "--signal=KILL"], env=environment, capture_output=True)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            daemon.wait(20)
