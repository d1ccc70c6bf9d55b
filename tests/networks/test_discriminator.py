"""The discriminator against the recording, and the laws of its shape."""

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
from tests.parity import relative_change


@pytest.fixture(scope="module")
def recording(load_recording):
    return load_recording("discriminator")


def recorded_discriminator(recording, compat: str) -> Discriminator:
    names = {"attn_res_layers": "attention_resolutions"}
    network = Discriminator(**{names.get(k, k): v for k, v in recording.config.items()}, compat=compat)
    network.load_state_dict(discriminator_from_original(recording.state()))
    return network


@pytest.fixture(scope="module")
def discriminator(recording):
    return recorded_discriminator(recording, "released")


def test_logits_agree_with_the_recording(recording, discriminator, assert_relative):
    for kind in ("real", "fake"):
        assert_relative(discriminator(recording.tensors[f"in.{kind}"]), recording.expected(f"out.logits_{kind}"))


def test_losses_agree_with_the_recording(recording, assert_relative):
    """In double precision: the penalty has a kink where a unit crosses 0, and one lies 2e-8 away."""
    discriminator = recorded_discriminator(recording, "released").double()
    real, fake = (recording.tensors[f"in.{kind}"].double().requires_grad_() for kind in ("real", "fake"))
    real_logits, fake_logits = discriminator(real), discriminator(fake)
    hinge, penalty = hinge_discriminator_loss(real_logits, fake_logits), gradient_penalty(real_logits, real)
    assert_relative(hinge[None], recording.expected("out.hinge_discriminator_loss"))
    assert_relative(hinge_generator_loss(fake_logits)[None], recording.expected("out.hinge_generator_loss"))
    assert_relative(penalty[None], recording.expected("out.gradient_penalty"))

    result = discriminator_loss(discriminator, real, fake)
    torch.testing.assert_close(result.loss, hinge + penalty)


def test_the_gradient_penalty_can_be_trained_on(recording, discriminator):
    loss = discriminator_loss(discriminator, recording.tensors["in.real"], recording.tensors["in.fake"]).loss
    gradients = torch.autograd.grad(loss, list(discriminator.parameters()), allow_unused=True)
    unused = [name for (name, _), g in zip(discriminator.named_parameters(), gradients, strict=True) if g is None]
    assert not unused


@torch.no_grad()
def test_mending_quirk_2_moves_the_logits(recording, record_effect):
    mended = recorded_discriminator(recording, "mended")(recording.tensors["in.real"])
    change = relative_change(mended, recording.tensors["out.logits_real"])
    record_effect("quirk 2: un-normed keys and values", "discriminator: change of the logits", f"{change:.1%}")
    assert change > 1e-3


def test_published_size_and_layout(published_layout):
    with torch.device("meta"):
        network = Discriminator(image_size=128, dim=16)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 20.7

    state = {
        key.removeprefix("discr."): torch.empty(shape, device="meta")
        for key, (shape, _) in published_layout["ctvit_pretrained.pt"].items()
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
