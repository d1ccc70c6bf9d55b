"""The discriminator against the recording, and the laws of its shape."""

import json

import pytest
import torch

from generatect.checkpoints.released_discriminator import discriminator_from_original
from generatect.errors import InputError
from generatect.networks.discriminator import Discriminator
from generatect.objectives.adversarial import (
    discriminator_loss,
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
)


@pytest.fixture(scope="module")
def recording(load_recording):
    return load_recording("discriminator")


@pytest.fixture(scope="module")
def discriminator(recording):
    network = Discriminator(
        image_size=recording.config["image_size"],
        channels=recording.config["channels"],
        dim=recording.config["dim"],
        attention_resolutions=recording.config["attn_res_layers"],
        compat="released",
    )
    network.load_state_dict(discriminator_from_original(recording.state()))
    return network


def test_logits_agree_with_the_recording(recording, discriminator, assert_relative):
    for kind in ("real", "fake"):
        assert_relative(discriminator(recording.tensors[f"in.{kind}"]), recording.tensors[f"out.logits_{kind}"])


def test_losses_agree_with_the_recording(recording, discriminator, assert_relative):
    real, fake = (recording.tensors[f"in.{kind}"].clone().requires_grad_() for kind in ("real", "fake"))
    real_logits, fake_logits = discriminator(real), discriminator(fake)
    expected = {key: value.squeeze() for key, value in recording.tensors.items() if key.startswith("out.")}
    hinge, penalty = hinge_discriminator_loss(real_logits, fake_logits), gradient_penalty(real_logits, real)
    assert_relative(hinge, expected["out.hinge_discriminator_loss"])
    assert_relative(hinge_generator_loss(fake_logits), expected["out.hinge_generator_loss"])
    assert_relative(penalty, expected["out.gradient_penalty"])

    result = discriminator_loss(discriminator, real, fake)
    assert_relative(result.loss, hinge + penalty)


def test_the_gradient_penalty_can_be_trained_on(discriminator):
    loss = discriminator_loss(discriminator, torch.randn(2, 1, 32, 32), torch.randn(2, 1, 32, 32)).loss
    gradients = torch.autograd.grad(loss, list(discriminator.parameters()), allow_unused=True)
    unused = [name for (name, _), g in zip(discriminator.named_parameters(), gradients, strict=True) if g is None]
    assert not unused


def test_mended_differs_from_released(recording, discriminator):
    mended = Discriminator(image_size=32, dim=4, compat="mended")
    mended.load_state_dict(discriminator.state_dict())
    real = recording.tensors["in.real"]
    assert (mended(real) - discriminator(real)).abs().max() > 1e-3


def test_published_size_and_layout(fixtures_dir):
    with torch.device("meta"):
        network = Discriminator(image_size=128, dim=16)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 20.7

    layout_file = fixtures_dir.parent / "spec" / "released_checkpoint_layout.json"
    if not layout_file.is_file():
        pytest.skip(f"no layout at {layout_file}")
    layout = json.loads(layout_file.read_text())["ctvit_pretrained.pt"]
    state = {
        key.removeprefix("discr."): torch.empty(shape, device="meta")
        for key, (shape, _) in layout.items()
        if key.startswith("discr.")
    }
    network.load_state_dict(discriminator_from_original(state))  # strict: every key and shape


def test_a_slice_is_judged_by_itself():
    network, images = Discriminator(image_size=16, dim=2), torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


def test_sizes_between_the_powers_of_two():
    network = Discriminator(image_size=48, dim=2, attention_resolutions=[12])
    assert network(torch.randn(2, 1, 48, 48)).shape == (2,)


@pytest.mark.parametrize("image_size", [-8, 0, 4, 100])
def test_refuses_sizes_that_cannot_be_halved(image_size):
    with pytest.raises(InputError, match=f"image_size={image_size}"):
        Discriminator(image_size=image_size)


def test_refuses_attention_where_no_stage_is():
    with pytest.raises(InputError, match="has 24"):
        Discriminator(image_size=32, attention_resolutions=[24])


def test_unknown_keys_are_not_dropped_silently():
    with pytest.raises(KeyError, match=r"blocks\.0\.extra"):
        discriminator_from_original({"blocks.0.extra.weight": torch.zeros(1)})
