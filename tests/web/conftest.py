"""A server for each kind of test: one in this process for requests, one of its own for browsers and for kills."""

import contextlib
import http.client
import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generatect.ct.nifti import write_nifti
from generatect.ct.scan import Reading
from generatect.ct.volume import CTVolume
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.serve import _listen
from generatect.web.app import make_app
from generatect.web.folders import Folders
from generatect.web.server import make_server
from generatect.web.studio import Studio

TOKEN = "a-token-for-tests"
PROMPT = "There is a large pleural effusion on the right. The heart is enlarged."
QUICK = {"steps": 3, "upscale_steps": 1}

# Runs the command, and writes every address that the process connects to into a file.
WATCHED_SERVER = """
import socket, sys
log, connect = open(sys.argv.pop(1), "a"), socket.socket.connect
def watched(self, address):
    print(address, file=log, flush=True)
    return connect(self, address)
socket.socket.connect = watched
from generatect.config.command import run_command
from generatect.serve import serve
run_command("serve", serve)
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A server, and how to ask it."""

    port: int
    token: str
    output: Path
    folder: Path
    studio: Studio | None = None
    process: subprocess.Popen | None = None
    log: Path | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None) -> Answer:
        """An answer; without `headers`, as the page's owner asks."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            sent = {"X-Generatect-Token": self.token} if headers is None else headers
            connection.request(method, path, body=content, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def wait(self, job_id: str, until: Callable[[dict], bool], seconds: float = 120) -> dict:
        """The job, once it is as wished."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            job = next(job for job in self.ask("/api/jobs").json if job["id"] == job_id)
            if until(job):
                return job
            time.sleep(0.05)
        raise AssertionError(f"still {job}")

    def make(self, **settings: Any) -> str:
        """The id of a volume, generated now."""
        job = self.ask("/api/jobs", method="POST", body={"prompt": PROMPT, **QUICK, **settings}).json
        done = self.wait(job["id"], lambda job: job["state"] not in ("waiting", "running"))
        assert done["state"] == "done", done
        return done["volume"]


@pytest.fixture(scope="session")
def model() -> TextToCT:
    return TextToCT.load("phantom", "cpu")


@pytest.fixture(scope="session")
def browsed(tmp_path_factory) -> Path:
    """A folder to browse: a scan with its report in a table, something hidden, and links that lead out."""
    outside = tmp_path_factory.mktemp("outside")
    root = tmp_path_factory.mktemp("browsed")
    pairs = PhantomPairs(num=1, seed=3, native_shape_zyx=(24, 48, 40))
    (root / "scans").mkdir()
    write_nifti(root / "scans" / "a.nii.gz", pairs.volume(0))
    write_nifti(outside / "secret.nii.gz", pairs.volume(0))
    (root / "reports.csv").write_text('volume,text\nscans/a.nii.gz,"Clear <b>lungs</b>."\n')
    (root / "notes.txt").write_text("private")
    (root / ".hidden").mkdir()
    write_nifti(root / ".hidden" / "h.nii.gz", pairs.volume(0))
    (root / "link.nii.gz").symlink_to(outside / "secret.nii.gz")
    (root / "linked").symlink_to(outside)
    return root


@pytest.fixture(scope="module")
def served(model, browsed, tmp_path_factory) -> Iterator[Served]:
    """A server in a thread of this process."""
    output = tmp_path_factory.mktemp("served")
    listener = _listen(0)
    port = listener.getsockname()[1]
    studio = Studio(
        model, output, Folders([str(browsed)]), TokenOptions(), UpscaleOptions(steps=1), Reading(), 2, 2_000_000
    )
    app = make_app(studio, TOKEN, port)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Served(port, TOKEN, output, browsed, studio=studio)
    server.should_exit = True
    studio.jobs.close()
    thread.join(30)
    studio.jobs.thread.join(60)
    listener.close()


@pytest.fixture(scope="session")
def start_server(browsed, tmp_path_factory) -> Iterator[Callable[..., Served]]:
    """Function that starts `python -m generatect.serve` and returns it once it has printed its address."""
    started = []

    def start(*overrides: str) -> Served:
        output, log = tmp_path_factory.mktemp("output"), tmp_path_factory.mktemp("log") / "connections"
        command = [sys.executable, "-c", WATCHED_SERVER, str(log), f"output={output}", f"browse={browsed}", "port=0"]
        process = subprocess.Popen(
            [*command, "device=cpu", *overrides],
            stdout=subprocess.PIPE,
            text=True,
            cwd=output.parent,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        assert select.select([process.stdout], [], [], 120)[0], "the server does not start"
        line = process.stdout.readline()
        port, _, token = line.split("127.0.0.1:")[1].strip().partition("/?token=")
        return Served(int(port), token, output, browsed, process=process, log=log)

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, which other tests must not meet
def browser() -> Iterator[Callable[..., Any]]:
    """Function that starts Chromium, with or without WebGL."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    quiet = ("quic", "background-networking", "component-update", "sync", "default-apps", "extensions")
    base = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    drawing = {
        True: ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
        False: ["--disable-gpu", "--disable-3d-apis"],
    }
    opened: list[Any] = []
    with sync_api.sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: install one, or run `playwright install chromium`")

        def launch(webgl: bool) -> Any:
            opened.append(playwright.chromium.launch(executable_path=path, args=base + drawing[webgl]))
            return opened[-1]

        yield launch
        for one in opened:
            one.close()


def noisy(shape_zyx: tuple[int, int, int]) -> CTVolume:
    """A volume in which every slice differs: a cylinder of tissue in air, with noise."""
    z, y, x = shape_zyx
    generator = np.random.default_rng(0)
    rows, columns = np.ogrid[-1 : 1 : y * 1j, -1 : 1 : x * 1j]
    body = np.where(rows**2 + columns**2 < 0.6, 40, -1000).astype(np.int16)
    volume = np.repeat(body[None], z, axis=0)
    volume += generator.integers(-60, 60, (z, 1, x)).astype(np.int16)
    volume += (np.arange(z, dtype=np.int16) * 2)[:, None, None]
    affine = np.array([[0, 0, -0.75, 0], [0, -0.75, 0, 0], [1.5, 0, 0, 0], [0, 0, 0, 1.0]])
    return CTVolume(volume, affine)
