"""Files of weights: whole, described, and never executed."""

import json
import pickle
import random
import resource
import signal
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from generatect.checkpoints.durable import DurableCheckpointIO
from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.stage_file import DESCRIPTION_KEY, EMA_KEY, read_stage_file, write_stage_file
from generatect.checkpoints.weights import find_weights
from generatect.errors import InputError

DESCRIPTION = {"stage": "ctvit", "networks": {"ctvit": {"dim": 16}}, "preset": {"name": "physical"}, "notice": None}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "ctvit.weight": torch.randn(8, 4, generator=generator).T,  # not contiguous
        "ctvit.steps": torch.tensor(2**40),
        "unet.weight": torch.randn(3, generator=generator),
    }


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_round_trip(tmp_path, state):
    write_stage_file(tmp_path / "a.safetensors", DESCRIPTION, state)
    file = read_stage_file(tmp_path / "a.safetensors", "ctvit")
    assert DESCRIPTION.items() <= file.description.items()
    assert file.state.keys() == state.keys()
    assert all(torch.equal(file.state[key], value) for key, value in state.items())
    assert file.state_of("ctvit").keys() == {"weight", "steps"}
    assert len(file.sha256) == 64


def test_equal_content_gives_equal_bytes(tmp_path, state):
    write_stage_file(tmp_path / "a.safetensors", DESCRIPTION, state)
    write_stage_file(tmp_path / "b.safetensors", dict(reversed(DESCRIPTION.items())), state)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_half_keeps_integers_and_computes_in_fp32(tmp_path, state):
    write_stage_file(tmp_path / "half.safetensors", DESCRIPTION, state, half=True)
    file = read_stage_file(tmp_path / "half.safetensors")
    assert file.state["ctvit.weight"].dtype == torch.float16
    loaded = file.state_of("ctvit")
    assert loaded["weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["weight"], state["ctvit.weight"], rtol=2**-10, atol=1e-7)
    assert loaded["steps"] == 2**40


def test_a_ckpt_gives_its_average_where_it_has_one(tmp_path, state):
    average = {"ctvit.weight": state["ctvit.weight"] + 1}
    content = {DESCRIPTION_KEY: {"format": 1, **DESCRIPTION}, "state_dict": state, EMA_KEY: average}
    DurableCheckpointIO().save_checkpoint(content, tmp_path / "a.ckpt")
    file = read_stage_file(tmp_path / "a.ckpt", "ctvit")
    assert torch.equal(file.state["ctvit.weight"], average["ctvit.weight"])
    assert torch.equal(file.state["unet.weight"], state["unet.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, state):
    DurableCheckpointIO().save_checkpoint(state, tmp_path / "a.ckpt")
    before = (tmp_path / "a.ckpt").read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):  # which of them depends on the Python
        DurableCheckpointIO().save_checkpoint({"weights": state, "not picklable": lambda: None}, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
@pytest.mark.parametrize("container", ["zip", "legacy", "bare"])
def test_a_hostile_pickle_is_refused_unexecuted(tmp_path, container, suffix):
    path, flag = tmp_path / f"hostile{suffix}", tmp_path / "executed"
    content = {DESCRIPTION_KEY: {"format": 1, **DESCRIPTION}, "state_dict": {"x": Payload(flag)}}
    if container == "bare":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(InputError, match="not a readable generatect checkpoint") as caught:
        read_stage_file(path)
    assert "\n" not in str(caught.value)
    assert not flag.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, state, suffix, share):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".ckpt":
        torch.save({DESCRIPTION_KEY: {"format": 1, **DESCRIPTION}, "state_dict": state}, path)
    else:
        write_stage_file(path, DESCRIPTION, state)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="not a readable generatect checkpoint"):
        read_stage_file(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_no_flipped_bit_changes_a_weight(tmp_path, state, suffix):
    """Wherever it is, it is noticed, or changes nothing of what is read."""
    path, state = tmp_path / f"flipped{suffix}", {**state, "ctvit.more": torch.randn(2000)}
    if suffix == ".ckpt":
        torch.save({DESCRIPTION_KEY: {"format": 1, **DESCRIPTION}, "state_dict": state}, path)
    else:
        write_stage_file(path, DESCRIPTION, state)
    whole, chance, noticed = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        content, place = bytearray(whole), chance.randrange(len(whole))
        content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            file = read_stage_file(path)
        except InputError:
            noticed += 1
            continue
        assert DESCRIPTION.items() <= file.description.items()
        assert file.state.keys() == state.keys()
        assert all(torch.equal(file.state[key], value) for key, value in state.items())
    assert noticed > 200


def test_the_same_content_is_the_same_bytes(tmp_path, state):
    """Hashes of files stand in sidecars: a file written again is the same file."""
    written = set()
    for _ in range(8):
        write_stage_file(tmp_path / "a.safetensors", DESCRIPTION, state)
        written.add((tmp_path / "a.safetensors").read_bytes())
    assert len(written) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, state):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, limits[1]))
    try:
        with pytest.raises(InputError, match=r"output=.*a\.safetensors: cannot be written .*make room") as error:
            write_stage_file(tmp_path / "a.safetensors", DESCRIPTION, {"ctvit.more": torch.zeros(9999)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def _ckpt(path, content):
    torch.save(content, path)


def _plain_safetensors(path, content):
    save_file({"x": torch.zeros(1)}, path, metadata=content)


@pytest.mark.parametrize(
    ("name", "write", "content"),
    [
        ("a.ckpt", _ckpt, {"state_dict": {}}),
        ("a.ckpt", _ckpt, [1, 2]),
        ("a.ckpt", _ckpt, torch.zeros(2)),
        ("a.ckpt", _ckpt, {DESCRIPTION_KEY: "x", "state_dict": {}}),
        ("a.ckpt", _ckpt, {DESCRIPTION_KEY: {"format": 1, "stage": "ctvit"}, "state_dict": 3}),
        ("a.ckpt", _ckpt, {DESCRIPTION_KEY: {"format": 2, "stage": "ctvit"}, "state_dict": {}}),
        ("a.ckpt", _ckpt, {DESCRIPTION_KEY: {"format": 1, "stage": "other"}, "state_dict": {}}),
        ("a.safetensors", _plain_safetensors, None),
        ("a.safetensors", _plain_safetensors, {DESCRIPTION_KEY: "not json"}),
        ("a.safetensors", _plain_safetensors, {DESCRIPTION_KEY: "[1]"}),
        ("a.safetensors", _plain_safetensors, {DESCRIPTION_KEY: json.dumps({"format": 9, "stage": "ctvit"})}),
    ],
)
def test_files_of_others_are_refused(tmp_path, name, write, content):
    write(tmp_path / name, content)
    with pytest.raises(InputError, match=r"weights=.*(not a readable generatect checkpoint|format)"):
        read_stage_file(tmp_path / name)


def test_other_kinds_of_file_are_refused(tmp_path):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with zipfile.ZipFile(tmp_path / "zip.ckpt", "w") as file:
        file.writestr("hello", "world")
    (tmp_path / "folder.ckpt").mkdir()
    for name in ("text.ckpt", "zip.ckpt", "folder.ckpt", "missing.ckpt"):
        with pytest.raises(InputError, match=name):
            read_stage_file(tmp_path / name)


def test_another_stage_is_refused_by_name(tmp_path, state):
    write_stage_file(tmp_path / "a.safetensors", DESCRIPTION, state)
    with pytest.raises(InputError, match=r"tokenizer=.*a checkpoint of stage 'ctvit', expected stage 'superres'"):
        read_stage_file(tmp_path / "a.safetensors", "superres", "tokenizer")


@pytest.mark.parametrize(
    "change",
    [
        {"networks": {"ctvit": {"dim": 16, "command": "rm"}}},
        {"networks": {"ctvit": {"dim": "wide"}}},
        {"networks": {}},
        {"networks": None},
        {"preset": {"name": "foreign"}},
        {"preset": {"name": "physical", "num_slices": "many"}},
        {"preset": None},
    ],
)
def test_a_description_is_checked_like_a_configuration(tmp_path, state, change):
    write_stage_file(tmp_path / "a.safetensors", {**DESCRIPTION, **change}, state)
    file = read_stage_file(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors"):
        rebuild_preset(file) if "preset" in change else rebuild_network(file, "ctvit")


def test_weights_are_found_in_a_folder_or_by_stage(tmp_path, state):
    write_stage_file(tmp_path / "ctvit.safetensors", DESCRIPTION, state)
    for weights in (str(tmp_path), str(tmp_path / "ctvit.safetensors"), {"ctvit": str(tmp_path / "ctvit.safetensors")}):
        assert find_weights(weights, "ctvit").path == tmp_path / "ctvit.safetensors"
    for weights in (str(tmp_path), {"ctvit": "x"}, {"superes": "x"}, str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match="weights"):
            find_weights(weights, "superres")
