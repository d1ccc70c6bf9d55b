"""The Hub, spoken to over HTTP: what is fetched, what is sent, and what is said when either cannot be."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from generatect.checkpoints.hub import MODEL_FILES, RELEASED, is_model_id
from generatect.checkpoints.model_folder import write_model_folder
from generatect.checkpoints.stage_file import STAGES, read_stage_file, write_stage_file
from generatect.checkpoints.weights import find_weights
from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from tests.checkpoints.hub_server import LocalHub

FETCH = "from generatect.checkpoints.hub import fetch_released as f; print(f('ctvit'))"
# Published files are converted at the published sizes alone; small ones, that their sizes are said beforehand.
FIND = """
import functools, json, sys
from generatect.checkpoints import convert
from generatect.checkpoints.weights import find_weights
convert.convert_file = functools.partial(convert.convert_file, sizes=json.loads(sys.argv[1]))
print(find_weights("released", "transformer").path)
"""
FETCH_MODEL = "from generatect.checkpoints.hub import fetch_model as f; print(f('lab/none'))"
EXPORT = "from generatect.export import export, run_command; run_command('export', export)"
LOAD = (
    "import sys; from generatect.pipeline import TextToCT; "
    "print(TextToCT.from_pretrained(sys.argv[1], 'cpu').paths['ctvit'].parent)"
)
TRANSFORMER = "pretrained_models/transformer_pretrained.pt"
TIMEOUT = 600
CTVIT = "pretrained_models/ctvit_pretrained.pt"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    server = LocalHub()
    server.repos[RELEASED] = {f"pretrained_models/{stage}_pretrained.pt": os.urandom(1000) for stage in STAGES}
    yield server
    server.close()


@pytest.fixture
def start(hub, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Function that starts `code` as a user's process whose Hub is `hub`, with caches of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "GENERATECT_CACHE": str(tmp_path / "cache")}

    def run(code: str, *arguments: object, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**kept, **own, "NO_PROXY": "127.0.0.1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return opened.enter_context(process)

    with contextlib.ExitStack() as opened:
        yield run


@pytest.fixture
def said(start) -> Callable[..., str]:
    """Function that runs `code` like `start` and returns the last line that it printed, or of its error."""

    def run(code: str, *arguments: object, **environment: str) -> str:
        process = start(code, *arguments, **environment)
        out, err = process.communicate(timeout=TIMEOUT)
        return (err if process.returncode else out).rstrip("\n").rpartition("\n")[2]

    return run


def cached(tmp_path: Path) -> list[bytes]:
    """Content of everything that the Hub's cache holds of files, whole or cut."""
    return [path.read_bytes() for path in sorted(tmp_path.glob("hf/hub/models--*/blobs/*"))]


@dataclass(frozen=True)
class SmallRelease:
    """A file in the published form, and the sizes of the networks in it as JSON."""

    path: Path
    sizes: str


@pytest.fixture
def small_release(load_recording, tmp_path) -> SmallRelease:
    """The recorded transformer and its tokenizer."""
    content = {
        f"{name}.{key}": value for name in ("ctvit", "maskgit") for key, value in load_recording(name).state().items()
    }
    path = tmp_path / "small.pt"
    torch.save(content, path)
    networks = [read_stage_file(path, stage).description["networks"] for stage in ("ctvit", "transformer")]
    return SmallRelease(path, json.dumps(networks[0] | networks[1]))


class TestReleased:
    @pytest.mark.parametrize("stage", STAGES)
    def test_fetched_once_and_then_used_without_a_network(self, hub, said, tmp_path, stage):
        code, name = FETCH.replace("ctvit", stage), f"pretrained_models/{stage}_pretrained.pt"
        path = Path(said(code))
        assert path.read_bytes() == hub.repos[RELEASED][name]
        assert path.relative_to(path.parents[2]) == Path(hub.commit(RELEASED)) / name
        assert said(code) == str(path)
        assert hub.sent == [(name, 0)]
        hub.close()
        assert said(code) == str(path)
        assert said(code, HF_HUB_OFFLINE="1") == str(path)
        assert cached(tmp_path) == [path.read_bytes()]

    def test_a_broken_connection_is_taken_up_where_it_broke(self, hub, said):
        hub.repos[RELEASED][CTVIT] = os.urandom(13 << 20)
        hub.cut_at = 12 << 20
        path = Path(said(FETCH))
        assert path.read_bytes() == hub.repos[RELEASED][CTVIT]
        (_, first), (_, second) = hub.sent
        assert first == 0
        assert second >= 10 << 20  # written in pieces of 10 MiB

    def test_a_killed_download_leaves_nothing_that_is_taken_for_the_file(self, hub, start, said):
        hub.repos[RELEASED][CTVIT], hub.seconds_per_chunk = os.urandom(30 << 20), 0.5
        process = start(FETCH)
        while not hub.sent:
            time.sleep(0.01)
        time.sleep(1)
        process.kill()
        process.communicate()
        assert "no ctvit_pretrained.pt" in said(FETCH, HF_HUB_OFFLINE="1")
        hub.seconds_per_chunk = 0.0
        assert Path(said(FETCH)).read_bytes() == hub.repos[RELEASED][CTVIT]

    def test_two_processes_at_once_leave_one_good_file(self, hub, start, tmp_path):
        hub.repos[RELEASED][CTVIT], hub.seconds_per_chunk = os.urandom(8 << 20), 0.25
        processes = [start(FETCH) for _ in range(2)]
        first, second = (process.communicate(timeout=TIMEOUT)[0] for process in processes)
        assert first == second != ""
        assert cached(tmp_path) == [hub.repos[RELEASED][CTVIT]]
        assert hub.sent == [(CTVIT, 0)]

    def refused(self, hub: LocalHub, line: str, reason: str) -> None:
        message = line.removeprefix("generatect.errors.InputError: ")
        assert message.startswith("weights=released: no ctvit_pretrained.pt from ")
        assert f"{hub.address}/{RELEASED}/resolve/main/{CTVIT} " in message
        assert reason in message
        assert message.endswith("weights=FOLDER with the three published files in it")

    def test_offline_is_one_line(self, hub, said):
        self.refused(hub, said(FETCH, HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set")
        assert hub.sent == []

    @pytest.mark.parametrize(
        ("refusal", "reason"),
        [
            ((401, "RepoNotFound"), "(it answers 401: does not exist, or needs `hf auth login`)"),
            ((403, "GatedRepo"), "(it answers 403: does not exist, or needs `hf auth login`)"),
            ((404, "EntryNotFound"), "(it answers 404)"),
        ],
    )
    def test_a_refusal_is_one_line(self, hub, said, refusal, reason):
        hub.refuses = refusal
        self.refused(hub, said(FETCH), reason)

    def test_no_room_is_one_line(self, hub, said, tmp_path):
        hub.repos[RELEASED][CTVIT] = os.urandom(1 << 20)
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19)); "
        self.refused(hub, said(limit + FETCH), "File too large")
        assert cached(tmp_path) == []

    def test_converted_once_for_each_commit(self, hub, start, said, small_release, tmp_path):
        hub.repos[RELEASED][TRANSFORMER] = small_release.path.read_bytes()
        processes = [start(FIND, small_release.sizes) for _ in range(2)]
        first, second = (process.communicate(timeout=TIMEOUT) for process in processes)
        assert first[0] == second[0] != "", first + second
        path = Path(first[0].strip())
        original, converted = (read_stage_file(file, "transformer") for file in (small_release.path, path))
        assert path.is_relative_to(tmp_path / "cache")
        assert converted.description["networks"] == original.description["networks"]
        assert all(torch.equal(converted.state[key], value) for key, value in original.state.items())

        written = path.stat().st_mtime_ns
        assert said(FIND, small_release.sizes, HF_HUB_OFFLINE="1") == str(path)
        assert path.stat().st_mtime_ns == written
        assert list(path.parent.iterdir()) == [path]

        hub.repos[RELEASED]["README.md"] = b"another commit"
        again = Path(said(FIND, small_release.sizes))
        assert again != path
        assert again.read_bytes() == path.read_bytes()

    def test_a_published_file_of_other_content_is_one_line(self, said):
        line = said(FIND, "{}")
        assert line.startswith("generatect.errors.InputError: weights=released: source=")
        assert "transformer_pretrained.pt: " in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab/model-1.0_b", True),
        ("outputs/ctvit", True),
        ("phantom", False),
        ("a/b/c", False),
        ("./model", False),
        ("../model", False),
        ("/model", False),
        ("~/model", False),
        ("lab/", False),
        ("lab/a b", False),
        ("lab/a--b", False),
        ("outputs/ctvit.safetensors", False),
        ("outputs/last.ckpt", False),
        ("outputs/ctvit_pretrained.pt", False),
    ],
)
def test_names_that_a_model_on_the_hub_can_have(text, expected):
    assert is_model_id(text) is expected


@pytest.fixture
def exported(tiny_weights, tmp_path) -> Path:
    TextToCT.load(str(tiny_weights), "cpu").save_pretrained(tmp_path / "exported")
    return tmp_path / "exported"


def sampled(model: TextToCT) -> list[bytes]:
    lowres = model.sample_lowres(["Large effusion."], 3, TokenOptions(steps=2))
    volume = model.upscale(lowres[0], "Large effusion.", 3, UpscaleOptions(steps=1))
    return [lowres.numpy().tobytes(), volume.numpy().tobytes()]


class TestOurModels:
    def test_what_is_saved_samples_the_same_bytes(self, tiny_weights, exported):
        original, again = TextToCT.load(str(tiny_weights), "cpu"), TextToCT.from_pretrained(exported, "cpu")
        assert sampled(original) == sampled(again)

    @pytest.mark.parametrize("half", [False, True])
    def test_config_and_card_say_what_the_files_are(self, tiny_weights, tmp_path, half):
        TextToCT.load(str(tiny_weights), "cpu").save_pretrained(tmp_path / "model", half)
        config = json.loads((tmp_path / "model" / "config.json").read_text())
        card = ModelCard.load(tmp_path / "model" / "README.md")
        assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(MODEL_FILES)
        assert card.data.library_name == config["library_name"] == "generatect"
        assert "computed-tomography" in card.data.tags
        assert "SYNTHETIC" in card.text
        assert "weights=model" in card.text
        for stage in STAGES:
            path, described = tmp_path / "model" / f"{stage}.safetensors", config["stages"][stage]
            file = read_stage_file(path, stage)
            assert described["sha256"] == sha256_of_file(path)
            assert described["bytes"] == path.stat().st_size
            assert described["values"] == sum(value.numel() for value in file.state.values())
            assert described["dtype"] == ("float16" if half else "float32")
            assert described["description"] == file.description
            assert described["sha256"] in card.text

    def test_the_card_carries_the_notice(self, tiny_weights, tmp_path):
        files = [read_stage_file(tiny_weights / f"{stage}.safetensors") for stage in STAGES]
        noted = dataclasses.replace(files[1], description={**files[1].description, "notice": "Their licence applies"})
        write_model_folder([files[0], noted, files[2]], tmp_path)
        assert "Their licence applies" in ModelCard.load(tmp_path / "README.md").text
        assert "Their licence applies" in json.loads((tmp_path / "config.json").read_text())["notice"]

    def test_a_model_whose_file_has_changed_is_not_saved(self, exported, tmp_path):
        model = TextToCT.from_pretrained(exported, "cpu")
        file = read_stage_file(exported / "superres.safetensors")
        write_stage_file(file.path, {**file.description, "notice": "another"}, file.state)
        with pytest.raises(InputError, match=r"superres\.safetensors: is another file than this model was loaded from"):
            model.save_pretrained(tmp_path / "again")

    def test_there_and_back_through_the_hub(self, hub, start, said, tiny_weights, tmp_path):
        settings = [f"weights={tiny_weights}", f"output={tmp_path / 'out'}", "push_to=lab/tiny", "private=true"]
        out, err = start(EXPORT, *settings).communicate(timeout=TIMEOUT)
        *wrote, last = out.splitlines()
        assert last == f"sent to {hub.address}/lab/tiny", err
        assert [Path(line.split()[1].rstrip(",")).name for line in wrote] == list(MODEL_FILES)
        sent = dict(hub.repos["lab/tiny"])
        assert sent == {name: (tmp_path / "out" / name).read_bytes() for name in MODEL_FILES}
        assert hub.private == {"lab/tiny": True}
        assert "weights=lab/tiny" in sent["README.md"].decode()

        hub.repos["lab/tiny"] |= {"huge.safetensors": b"not ours", "pickle.bin": b"nor this"}
        folder = Path(said(LOAD, "lab/tiny"))
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == sent
        original, fetched = TextToCT.load(str(tiny_weights), "cpu"), TextToCT.from_pretrained(folder, "cpu")
        assert sampled(original) == sampled(fetched)
        hub.close()
        assert said(LOAD, "lab/tiny") == str(folder)

    def test_a_loaded_model_is_pushed(self, hub, said, tiny_weights):
        push = (
            "import sys; from generatect.pipeline import TextToCT as T; print(T.load(sys.argv[1]).push_to_hub('lab/b'))"
        )
        assert said(push, tiny_weights) == f"{hub.address}/lab/b"
        assert sorted(hub.repos["lab/b"]) == sorted(MODEL_FILES)
        assert hub.private == {"lab/b": False}

    def test_a_hub_that_does_not_take_a_model_is_one_line(self, hub, start, tiny_weights, tmp_path):
        hub.refuses = (403, "Forbidden")
        process = start(EXPORT, f"weights={tiny_weights}", f"output={tmp_path}", "push_to=lab/tiny")
        line = process.communicate(timeout=TIMEOUT)[1]
        assert process.returncode == 2
        assert line.count("\n") == 1
        assert line.startswith(f"generatect.export: push_to=lab/tiny: {hub.address}/lab/tiny did not take {tmp_path} (")
        assert "403" in line
        assert "hf auth login" in line

    @pytest.mark.parametrize("name", ["tiny", "lab/a/b", "lab/a b"])
    def test_a_name_that_cannot_be_is_refused_before_anything_is_written(self, command, tiny_weights, tmp_path, name):
        ended = command("export", f"weights={tiny_weights}", f"output={tmp_path / 'out'}", f"push_to='{name}'")
        assert ended.code == 2
        assert ended.err == (
            f"generatect.export: push_to={name}: expected ORG/NAME as on the Hub, of letters, digits and -_.\n"
        )
        assert not (tmp_path / "out").exists()


class TestNoSuchModel:
    def refused(self, hub: LocalHub, line: str, reason: str) -> None:
        assert line == (
            f"generatect.errors.InputError: weights=lab/none: no such file here, and no model of ours from "
            f"{hub.address}/lab/none ({reason}); name a checkpoint that a training wrote, or its folder, or a model on "
            "the Hub"
        )

    def test_neither_here_nor_on_the_hub(self, hub, said):
        self.refused(hub, said(FETCH_MODEL), "it answers 401: does not exist, or needs `hf auth login`")

    def test_offline(self, hub, said):
        self.refused(hub, said(FETCH_MODEL, HF_HUB_OFFLINE="1"), "not in the Hub's cache, and HF_HUB_OFFLINE is set")

    def test_no_network(self, hub, said):
        hub.close()
        self.refused(hub, said(FETCH_MODEL), "[Errno 111] Connection refused")

    def test_a_model_of_others(self, hub, said):
        hub.repos["lab/none"] = {"model.safetensors": b"x", "pytorch_model.bin": b"y"}
        self.refused(hub, said(FETCH_MODEL), "it holds no STAGE.safetensors")
        assert hub.sent == []

    @pytest.mark.parametrize("weights", ["nowhere", "a/b/c", "outputs/none.safetensors"])
    def test_what_can_be_no_model_is_not_asked_for(self, weights):
        with pytest.raises(InputError) as caught:
            find_weights(weights, "ctvit")
        assert str(caught.value) == (
            f"weights={weights}: no such file; name a checkpoint that a training wrote, or its folder"
        )
