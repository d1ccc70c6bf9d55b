"""Detectors: executed only where their hash is given, refused in one line where they are not what they should be."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from generatect.errors import InputError
from generatect.evaluation.detectors import load_detector, module_sha256
from generatect.evaluation.random_network import RandomNetwork
from generatect.files import sha256_of_file
from tests.checkpoints.hub_server import LocalHub
from tests.evaluation.torchscript import Clips, Images, save


@pytest.fixture(scope="module")
def images_file(tmp_path_factory):
    return save(Images(), tmp_path_factory.mktemp("detectors") / "images.pt")


@pytest.fixture(scope="module")
def clips_file(tmp_path_factory):
    return save(Clips(), tmp_path_factory.mktemp("detectors") / "clips.pt")


def batch(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))


class Flat(nn.Module):
    """A network of somebody's own."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().flatten(2).mean(2) * self.scale


def test_a_torchscript_file_is_called_as_its_kind_is_called(images_file, clips_file):
    images = load_detector(str(images_file), "images", sha256_of_file(images_file), 9)
    features = images(batch(4, 3, 10, 12))
    assert features.shape == (4, 9)
    assert features.dtype == torch.float32
    np.testing.assert_allclose(features[:, :3], batch(4, 3, 10, 12)[:, :, :5].float().mean((2, 3)), rtol=1e-5)
    clips = load_detector(str(clips_file), "clips", sha256_of_file(clips_file).upper(), 48)
    rescaled = batch(2, 3, 16, 8, 8).float().mean((3, 4)).flatten(1) / 127.5 - 1
    np.testing.assert_allclose(clips(batch(2, 3, 16, 8, 8)), rescaled, atol=1e-5)


def test_nothing_is_opened_without_its_hash(images_file, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("opened"))
    found = sha256_of_file(images_file)
    with pytest.raises(InputError, match=f"executes code.*add fid.sha256={found}"):
        load_detector(str(images_file), "images")
    with pytest.raises(InputError, match=f"SHA-256 is {found}; expected {'0' * 64}"):
        load_detector(str(images_file), "images", "0" * 64)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        load_detector(str(images_file), "images", "abc")


def test_what_is_no_detector_is_refused_in_one_line(images_file, clips_file, tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"a": 1}, tmp_path / "pickle.pt")
    cases = [
        (tmp_path / "text.pt", "images", None, "not TorchScript"),
        (tmp_path / "pickle.pt", "images", None, "not TorchScript"),
        (images_file, "images", 2048, "gives 9 features, expected 2048"),
        (images_file, "clips", None, "does not take"),
        (clips_file, "images", None, "does not take"),
    ]
    for path, kind, width, said in cases:
        with pytest.raises(InputError, match=said) as refused:
            load_detector(str(path), kind, sha256_of_file(path), width)
        assert "\n" not in str(refused.value)
        assert str(path) in str(refused.value)
    with pytest.raises(InputError, match="no such file"):
        load_detector(str(tmp_path / "absent.pt"), "images", "0" * 64)


def test_the_hub_is_asked_only_with_consent(monkeypatch):
    monkeypatch.setattr("generatect.evaluation.detectors.fetch_file", lambda *_: pytest.fail("fetched"))
    with pytest.raises(InputError, match=r"fvd\.sha256"):
        load_detector("hf://ORG/NAME/i3d.pt", "clips")
    with pytest.raises(InputError, match="expected hf://ORG/NAME/FILE"):
        load_detector("hf://ORG/i3d.pt", "clips", "0" * 64)


def test_a_file_from_the_hub_is_checked_like_any_other(images_file, monkeypatch):
    asked = []

    def fetch(repo_id, filename, setting):
        asked.append((repo_id, filename, setting))
        return images_file

    monkeypatch.setattr("generatect.evaluation.detectors.fetch_file", fetch)
    detector = load_detector("hf://ORG/NAME/sub/images.pt", "images", sha256_of_file(images_file), 9)
    assert asked == [("ORG/NAME", "sub/images.pt", "fid.detector")]
    assert detector.record.sha256 == sha256_of_file(images_file)
    with pytest.raises(InputError, match="SHA-256"):
        load_detector("hf://ORG/NAME/sub/images.pt", "images", "1" * 64)


def test_random_networks_are_the_same_everywhere_and_say_what_they_are():
    for kind, shape in (("images", (2, 3, 20, 24)), ("clips", (2, 3, 16, 20, 24))):
        first, second = (load_detector("random", kind) for _ in range(2))
        assert first.record == second.record
        assert "untrained" in first.record.name
        assert first.record.width == 168
        assert torch.equal(first(batch(*shape)), second(batch(*shape)))
        other = load_detector(RandomNetwork(kind, seed=1), kind)
        assert other.record.sha256 != first.record.sha256
    with pytest.raises(InputError, match="expected one of clips"):
        load_detector(RandomNetwork("images"), "clips")


def test_random_features_see_contrast_and_texture():
    detector = load_detector("random", "images")
    grey = batch(8, 1, 32, 32).expand(-1, 3, -1, -1)
    plain, halved, coarse = (
        detector(x).mean(0)
        for x in (grey, grey // 2, grey[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))
    )
    scale = detector(grey).std(0).mean()
    assert (plain - halved).abs().max() > scale
    assert (plain - coarse).abs().max() > scale


def test_a_network_of_ours_is_frozen_and_known_by_its_numbers():
    module = Flat()
    detector = load_detector(module, "images")
    assert detector.record.name == "Flat"
    assert detector.record.width == 3
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert module_sha256(Flat()) == detector.record.sha256 != module_sha256(Flat(2.0))


def test_features_of_another_shape_or_without_number_are_refused():
    class Spatial(nn.Module):
        def forward(self, x):
            return x.float()

    class Broken(nn.Module):
        def forward(self, x):
            return x.float().flatten(2).mean(2) / x.float().max()

    with pytest.raises(InputError, match="expected one vector"):
        load_detector(Spatial(), "images")
    with pytest.raises(InputError, match="NaN"):
        load_detector(Broken(), "images")(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


FROM_HUB = """
import sys
from generatect.errors import InputError
from generatect.evaluation.detectors import load_detector

for name in ("images.pt", "images.pt", "absent.pt"):
    try:
        print(load_detector(f"hf://org/detectors/{name}", "images", sys.argv[1], 9).record.name)
    except InputError as error:
        print(error)
"""


def test_a_detector_is_fetched_once(images_file, tmp_path):
    hub = LocalHub()
    hub.repos["org/detectors"] = {"images.pt": images_file.read_bytes()}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
    try:
        ended = subprocess.run(
            [sys.executable, "-c", FROM_HUB, sha256_of_file(images_file)],
            env={**kept, **own},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        hub.close()
    first, second, refused = ended.stdout.splitlines()
    assert (first, second) == ("images.pt", "images.pt"), ended.stderr
    assert hub.sent == [("images.pt", 0)]
    assert "fid.detector: no absent.pt from" in refused
