"""VGG16 features: torchvision's layout, loading, and what they are not allowed to do."""

import pytest
import torch

from generatect.errors import InputError
from generatect.networks.vgg import VGG16Features, load_vgg16


@pytest.fixture(scope="module")
def shapes():
    with torch.device("meta"):
        return {key: value.shape for key, value in VGG16Features().state_dict().items()}


@pytest.fixture(scope="module")
def constant_file(shapes, tmp_path_factory):
    """A full-size state dict of a few kilobytes: every tensor is one number, repeated by its strides.

    Zero weights and biases of one sign each make the answer known: relu(bias of the last layer).
    """
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    state = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    state["classifier.3.bias"] = torch.linspace(-1, 1, 4096)
    state["classifier.6.weight"] = torch.zeros(1).expand(1000, 4096)
    torch.save(state, path)
    return path


def test_names_and_shapes_are_those_of_the_released_file(shapes, published_layout):
    layout = published_layout["ctvit_pretrained.pt"]
    expected = {key.removeprefix("vgg."): tuple(shape) for key, (shape, _) in layout.items() if key.startswith("vgg.")}
    assert {key: tuple(shape) for key, shape in shapes.items()} == expected


def test_loads_and_computes_the_second_relu(constant_file):
    network = load_vgg16(constant_file)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.train().training  # dropout would make equal images differ
    features = network(torch.randn(2, 3, 40, 32))
    torch.testing.assert_close(features, torch.linspace(-1, 1, 4096).relu().expand(2, -1))


def test_layers_are_where_torchvision_has_them():
    with torch.device("meta"):
        network = VGG16Features()
    kinds = [type(layer).__name__ for layer in network.features]
    assert [i for i, kind in enumerate(kinds) if kind == "MaxPool2d"] == [4, 9, 16, 23, 30]
    assert network(torch.empty(1, 3, 128, 128, device="meta")).shape == (1, 4096)


def test_reads_the_released_ctvit_checkpoint_too(constant_file, tmp_path):
    state = torch.load(constant_file, weights_only=True)
    path = tmp_path / "ctvit_pretrained.pt"
    torch.save({f"vgg.{key}": value for key, value in state.items()}, path)
    assert load_vgg16(path).classifier[3].bias[-1] == 1


@pytest.mark.parametrize("damage", ["missing file", "not a state dict", "missing key"])
def test_unusable_files_are_named(constant_file, tmp_path, damage):
    path = tmp_path / "weights.pth"
    if damage == "not a state dict":
        path.write_bytes(b"<html>404</html>")
    elif damage == "missing key":
        state = torch.load(constant_file, weights_only=True)
        del state["features.5.bias"]
        torch.save(state, path)
    with pytest.raises(InputError, match=r"weights\.pth") as caught:
        load_vgg16(path)
    assert "\n" not in str(caught.value)
