"""Random requests, and random files in both folders: never an error of the server's own, never a word from outside."""

import json
import os
import random
import shutil
import socket
from urllib.parse import quote, urlencode

import pytest

from generatect.ct.nifti import write_nifti
from tests.web.conftest import noisy

NUM_FILES, NUM_REQUESTS = 120, 700
SECRET = "outside of everything"
PIECES = [
    "a",
    "é\u0301",
    "☃",
    "\udce9",
    "\\",
    "\\xe9",
    " ",
    "'",
    '"',
    "<b>",
    "&",
    "=",
    ",",
    "..",
    "\n",
    "\x07",
    "\u2028",
]
ENDINGS = [".nii.gz", ".nii", ".json", ".csv", ".xlsx", ".png", ".nii.nii.gz", ""]
STRINGS = ["", "x", "é", "\ud83d", "\0", "<script>", "0", "1e999", "made/x", "files/0", "phantom/1", "phantom/99"]
OTHERS = [None, True, 0, -1, 0.5, 2**53, 10**400, float("nan"), float("inf"), [], {}, [[[]]], {"a": {"b": 1}}]
NUMBERS = ["", "0", "1", "-1", "9" * 5000, "²", "1e999", "nan", "0x1", "1_0", " 1", "٣", "0.5"]
KINDS = ["", "files/0/", "made/", "opened/", "phantom/"]
ADDRESSES = ["volume", "pair", "slice", "projection", "nifti", "thumbnail", "file", "folder", "cost", "jobs/x/picture"]
KEYS = ["notice", "prompt", "seed", "source", "tokens", "upscale", "reconstruction_of", "volume_sha256", "grid_psnr_db"]


def name(dice: random.Random) -> str:
    return "".join(dice.choices(PIECES, k=dice.randint(1, 4))) + dice.choice(ENDINGS)


def content(dice: random.Random, volume: bytes, path: str) -> bytes:
    kind = dice.random()
    if path.endswith(".json") and kind < 0.9:
        said = {key: dice.choice(STRINGS + OTHERS) for key in dice.sample(KEYS, 4)}
        return json.dumps({**said, "notice": dice.choice(["SYNTHETIC", "\udce9", 5])}).encode()
    if path.endswith(".csv") and kind < 0.9:
        rows = [f"{name(dice)!r},{dice.choice(STRINGS)}" for _ in range(5)]
        return "\n".join(["volume,text", *rows]).encode("utf-8", "replace")
    if kind < 0.5:
        return volume
    return volume[: dice.randrange(len(volume))] + dice.randbytes(dice.randrange(40))


def fill(dice: random.Random, folder, outside, volume: bytes) -> None:
    """Odd files, links and pipes of odd names."""
    folder.mkdir(exist_ok=True)
    taken = []
    for _ in range(NUM_FILES):
        path = os.path.join(folder, name(dice))
        kind = dice.random()
        if os.path.lexists(path) and kind > 0.08:
            continue  # a FIFO, perhaps
        try:
            if kind < 0.04:
                os.mkfifo(path)
            elif kind < 0.08:
                os.symlink(path, path)
            elif kind < 0.16:
                os.symlink(outside / f"secret{dice.choice(ENDINGS)}", path)
            elif kind < 0.2:
                os.mkdir(path)
            elif kind < 0.22:
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(path)
            elif kind < 0.5 and taken:  # beside a volume
                stem = dice.choice(taken).removesuffix(".gz").removesuffix(".nii")
                if not os.path.lexists(f"{stem}.json"):
                    with open(f"{stem}.json", "wb") as file:
                        file.write(content(dice, volume, ".json"))
            else:
                with open(path, "wb") as file:
                    file.write(content(dice, volume, path))
                taken.append(path)
            if dice.random() < 0.1 and not os.path.islink(path):
                os.utime(path, (0, dice.choice([-(10**9), 10**11, 0])))
        except (OSError, ValueError):  # no such name here
            continue


def request(dice: random.Random, ids: list[str], places: list[str]) -> tuple[str, str, bytes | None]:
    """Method, path and body of a request that may mean something."""

    def some_id() -> str:
        odd = [*STRINGS, *(f"{kind}{name(dice)}" for kind in KINDS)]
        return dice.choice(ids if dice.random() < 0.6 else odd)

    if dice.random() < 0.15:
        keys = dice.sample(["prompt", "seed", "guidance", "upscale_steps", "kind", "volume"], 4)
        body = {key: dice.choice(STRINGS + OTHERS) for key in keys}
        return "POST", "/api/jobs", json.dumps({**body, "steps": 0}).encode()  # refused, so that nothing is made
    if dice.random() < 0.05:
        return "POST", f"/api/uploads?name={quote(name(dice), errors='surrogatepass')}", dice.randbytes(400)
    query = {
        **{key: some_id() for key in ("volume", "a", "b")},
        **{key: dice.choice(NUMBERS) for key in ("index", "steps", "guidance", "upscale_steps", "state")},
        "minus": some_id() if dice.random() < 0.2 else "",
        "plane": dice.choice(["axial", "coronal", "sagittal", "x"]),
        "kind": dice.choice(["maximum", "mean", "x"]),
        "format": dice.choice(["nifti", "png", "json", "x"]),
        "place": dice.choice([*places, name(dice), f"{dice.choice(NUMBERS)}/{name(dice)}"]),
    }
    given = {key: value for key, value in query.items() if value and dice.random() < 0.9}
    return "GET", f"/api/{dice.choice(ADDRESSES)}?{urlencode(given, errors='surrogatepass')}", None


@pytest.fixture
def odd(served):
    """An opened folder of its own."""
    yield served.folder / "odd"
    shutil.rmtree(served.folder / "odd")


def test_nothing_random_breaks_it(served, odd, tmp_path, capfd):
    dice = random.Random(0)
    write_nifti(tmp_path / "v.nii.gz", noisy((6, 24, 20)))
    volume = (tmp_path / "v.nii.gz").read_bytes()
    for ending in ENDINGS:
        (tmp_path / f"secret{ending}").write_text(json.dumps({"notice": SECRET, "prompt": SECRET}))
    write_nifti(tmp_path / "secret.nii.gz", noisy((6, 24, 20)))
    fill(dice, odd, tmp_path, volume)
    fill(dice, served.output, tmp_path, volume)
    listed = served.ask("/api/folder?place=0/odd").json
    history = served.ask("/api/history").json
    ids = [entry["volume"] for entry in [*listed["volumes"], *history]] + ["phantom/1"]
    places = [entry["place"] for entry in listed["folders"]] + ["0", "0/odd"]
    for _ in range(NUM_REQUESTS):
        method, path, body = request(dice, ids, places)
        answer = served.ask(path, method=method, body=body)
        assert answer.status < 500, (method, path, body, answer.body)
        assert SECRET.encode() not in answer.body, path
        if answer.headers["content-type"] == "application/json":
            json.loads(answer.body.decode(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert served.ask("/api/about").status == 200
    assert "Traceback" not in capfd.readouterr().err
