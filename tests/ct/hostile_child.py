"""Reads hostile files in a process of its own, under limits, and prints what came of it as JSON.

Run as `python hostile_child.py fuzz FOLDER COUNT SEED` or `python hostile_child.py read PATH`.
"""

import gzip
import json
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generatect.ct.nifti import read_nifti
from generatect.ct.volume import CTVolume
from generatect.errors import InputError

EXTRA_MEMORY_BYTES = 1 << 30
MAX_SECONDS = 5
CHANGED_BEYOND = 1e-3
"""HU, or an element of the affine in mm."""


class Hang(BaseException):
    """A read took longer than it may."""


@dataclass(frozen=True)
class Original:
    """A sound file.

    Attributes:
        content: its bytes, uncompressed.
        num_header_bytes: 348 or 540.
        volume: what it reads to.
    """

    content: bytes
    num_header_bytes: int
    volume: CTVolume

    def mutated(self, rng: np.random.Generator) -> bytes:
        """The file with one to four bytes of its header overwritten."""
        content = bytearray(self.content)
        for position in rng.integers(0, self.num_header_bytes, rng.integers(1, 5)):
            content[position] = rng.integers(0, 256)
        return bytes(content)

    def is_changed(self, volume: CTVolume) -> bool:
        """Whether a volume read from a mutated file differs in geometry or voxels."""
        before, after = self.volume, volume
        return (
            before.shape_zyx != after.shape_zyx
            or not np.allclose(before.affine, after.affine, rtol=0, atol=CHANGED_BEYOND)
            or not np.allclose(before.voxels_hu, after.voxels_hu, rtol=0, atol=CHANGED_BEYOND)
        )


def fuzz(folder: Path, num: int, seed: int) -> dict:
    """Mutate and read `num` times: every other file compressed; the files `*.original` in turn."""
    rng = np.random.default_rng(seed)
    originals = [read_original(path) for path in sorted(folder.glob("*.original"))]
    result = {"accepted": 0, "changed": 0, "refused": 0, "hangs": 0, "crashes": [], "bad_refusals": []}
    limit_memory()
    signal.signal(signal.SIGALRM, on_alarm)
    for index in range(num):
        original = originals[index // 2 % len(originals)]
        content = original.mutated(rng)
        path = folder / ("mutated.nii.gz" if index % 2 else "mutated.nii")
        path.write_bytes(gzip.compress(content, 1) if index % 2 else content)
        signal.alarm(MAX_SECONDS)
        try:
            volume = read_nifti(path)
        except InputError as error:
            result["refused"] += 1
            if str(path) not in str(error) or "\n" in str(error):
                result["bad_refusals"].append(str(error))
        except Hang:
            result["hangs"] += 1
        except BaseException as error:  # anything else is a crash, MemoryError and SystemExit included
            result["crashes"].append(f"file {index}: {error!r}")
        else:
            result["accepted"] += 1
            result["changed"] += original.is_changed(volume)
        finally:
            signal.alarm(0)
    return result | {"peak_bytes": peak_bytes()}


def read_original(path: Path) -> Original:
    """A sound file and what it holds."""
    content = path.read_bytes()
    return Original(content, int.from_bytes(content[:4], "little"), read_nifti(path))


def read(path: Path) -> dict:
    """Read one file: how it was refused, in how much of the processor's time and additional memory."""
    before, start = peak_bytes(), time.process_time()
    try:
        read_nifti(path)
        message = ""
    except InputError as error:
        message = str(error)
    return {"message": message, "seconds": time.process_time() - start, "extra_bytes": peak_bytes() - before}


def limit_memory() -> None:
    """Let the process have 1 GiB of addresses more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + EXTRA_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_bytes() -> int:
    """Most memory that this process ever occupied."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def on_alarm(*_: object) -> None:
    """End a read that hangs."""
    raise Hang


if __name__ == "__main__":
    command, target, *numbers = sys.argv[1:]
    outcome = fuzz(Path(target), *map(int, numbers)) if command == "fuzz" else read(Path(target))
    print(json.dumps(outcome))
