"""`python benchmarks/first_slice.py`: how long a volume of 201 × 512 × 512 takes to its first slice without WebGL.

Through the running server, over HTTP: from the request for the volume, which is read, checked and decided on, to the
first slice of each plane. Phantom with noise, compressed as CT-RATE's files are; then the next slices, as one scrolls.
"""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from generatect.ct.nifti import write_nifti
from generatect.phantom.pairs import PhantomPairs

SHAPE = (201, 512, 512)
REPEATS = 3


def main() -> None:
    """Prints medians."""
    with tempfile.TemporaryDirectory() as folder:
        volume = PhantomPairs(num=1, seed=1, native_shape_zyx=SHAPE).volume(0)
        for number in range(REPEATS):
            write_nifti(Path(folder) / f"{number}.nii.gz", volume)
        command = [sys.executable, "-m", "generatect.serve", f"browse={folder}", f"output={folder}/out", "port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found = re.search(r":(\d+)/\?token=(\S+)", server.stdout.readline())
            assert found
            time.sleep(20)  # its networks have been timed by then
            ask = asker(int(found[1]), found[2])
            opened, scrolled = [], []
            for number in range(REPEATS):
                name = f"files/0/{number}.nii.gz"
                started = time.monotonic()
                ask(f"/api/volume?volume={name}")
                ask(f"/api/slice?volume={name}&plane=axial&index=100")
                opened.append(time.monotonic() - started)
                started = time.monotonic()
                for index in range(50):
                    ask(f"/api/slice?volume={name}&plane=axial&index={index}")
                scrolled.append((time.monotonic() - started) / 50)
            server.terminate()
    size = " × ".join(map(str, SHAPE))
    print(f"{size}: first slice after {sorted(opened)[REPEATS // 2]:.2f} s, each next {1000 * min(scrolled):.0f} ms")


def asker(port: int, token: str):
    """Function that asks the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(path: str) -> bytes:
        connection.request("GET", path, headers={"X-Generatect-Token": token})
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, json.loads(content)
        return content

    return ask


if __name__ == "__main__":
    main()
