import json

import pytest
import torch

from generatect.checkpoints.released_superres import unet_from_original, unet_state_of_release, unet_to_original
from generatect.errors import InputError
from generatect.networks.unet import SuperResUNet
from tests.networks.recorded_unet import recorded_unet

SMALL = {
    "dim": 8,
    "dim_mults": [1, 2],
    "num_blocks": 1,
    "text_width": 6,
    "max_text_tokens": 5,
    "num_text_latents": 2,
    "heads": 2,
    "dim_head": 4,
    "cross_attention": [False, True],
}


@pytest.fixture
def small():
    """A float64 network of two levels, no weight at its initial value, and inputs for three slices."""
    generator = torch.Generator().manual_seed(0)
    network = SuperResUNet(**SMALL)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    slices = torch.randn(2, 3, 1, 8, 12, generator=generator, dtype=torch.float64)
    log_snr = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    text = torch.randn(3, 7, 6, generator=generator, dtype=torch.float64)
    return network.double().requires_grad_(False), (slices[0], log_snr[0], slices[1], log_snr[1]), text


@pytest.mark.parametrize("name", ["unet", "unet_cross_everywhere"])
def test_output_agrees_with_the_release(name, load_recording, assert_relative):
    recording = load_recording(name)
    inputs = [recording.tensors[f"in.{key}"] for key in ("x", "log_snr", "lowres", "lowres_log_snr")]
    features, mask = recording.tensors["in.text_embeds"], recording.tensors["in.text_mask"]
    network = recorded_unet(recording.config, recording.state()).requires_grad_(False)

    assert_relative(network(*inputs, features, mask), recording.tensors["out.cond"])
    if "out.uncond" in recording.tensors:
        dropped = torch.ones(len(mask), dtype=torch.bool)
        assert_relative(network(*inputs), recording.tensors["out.uncond"])
        assert_relative(network(*inputs, features, mask, dropped), recording.tensors["out.uncond"])


def test_intermediate_values_and_gradients_agree_with_the_release(load_recording, assert_relative):
    recording = load_recording("unet_cross_everywhere")
    recorded = recording.tensors
    network = recorded_unet(recording.config, recording.state())
    seen = {}

    def keep(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _module, _inputs, output: seen.__setitem__(name, output))

    keep("after_first_convolution", network.first_convolution)
    keep("after_first_block", network.first_block)
    keep("after_first_downsample", network.down[0].downsample)
    keep("first_cross_attention", network.down[0].entry.attention)
    keep("after_first_cross_attention_block", network.down[0].entry)
    keep("after_middle", network.middle[1])
    keep("after_first_up_block", network.up[0].entry)
    keep("after_last_block", network.last_block)
    keep("condition_tokens", network.condition_norm)
    keep("noise_level", network.noise_level)
    keep("text", network.text)

    inputs = [recorded[f"in.{key}"] for key in ("x", "log_snr", "lowres", "lowres_log_snr", "text_embeds", "text_mask")]
    loss = (network(*inputs) - recorded["in.target"]).square().mean()
    loss.backward()
    seen["time_vector"], seen["time_tokens"] = seen.pop("noise_level")
    seen["text_vector"], seen["text_tokens"] = seen.pop("text")
    for name, value in seen.items():
        assert_relative(value, recorded[f"mid.{name}"])
    assert_relative(loss[None], recorded["out.mse"])

    gradients = unet_to_original({name: parameter.grad for name, parameter in network.named_parameters()})
    names = [key.removeprefix("grad.") for key in recorded if key.startswith("grad.")]
    assert len(names) > 30
    for name in names:
        assert_relative(gradients[name], recorded[f"grad.{name}"])


def test_published_size_and_names(fixtures_dir):
    layout = json.loads((fixtures_dir.parent / "spec" / "released_checkpoint_layout.json").read_text())
    model = layout["superres_pretrained.pt"]["model"]
    published = unet_state_of_release(
        {"model": {key: torch.empty(shape, device="meta") for key, (shape, _) in model.items()}}
    )
    with torch.device("meta"):
        network = SuperResUNet(
            dim=64,
            dim_mults=[1, 2, 4],
            num_blocks=2,
            text_width=768,
            max_text_tokens=256,
            num_text_latents=32,
            heads=8,
            dim_head=64,
            cross_attention=[True, True, True],
        )
    ours = network.state_dict()
    assert len(published) == 447
    assert round(sum(value.numel() for value in ours.values()) / 1e6, 2) == 22.19
    translated = unet_from_original(published)
    assert {key: value.shape for key, value in translated.items()} == {key: value.shape for key, value in ours.items()}
    assert unet_to_original(translated).keys() == published.keys()


def test_averaged_weights_are_preferred():
    weight = torch.ones(1)
    checkpoint = {
        "model": {"unets.0.dummy_parameter": weight, "unets.1.final_conv.bias": weight},
        "ema": {"1.ema_model.final_conv.bias": weight * 2, "1.online_model.final_conv.bias": weight * 3},
    }
    assert unet_state_of_release(checkpoint) == {"final_conv.bias": weight * 2}
    with pytest.raises(InputError, match="no tensors"):
        unet_state_of_release({"model": {"unets.0.dummy_parameter": weight}})


@pytest.mark.parametrize("key", ["final_conv.weights", "something.weight", "downs.0.1.cross_attn.to_v.weight"])
def test_unknown_tensors_are_refused_by_name(key):
    with pytest.raises(InputError, match=key):
        unet_from_original({key: torch.zeros(1)})


def test_a_slice_does_not_depend_on_its_neighbours(small):
    network, inputs, text = small
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4, [False] * 7])
    together = network(*inputs, text, mask)
    for i in range(3):
        alone = network(*(part[i : i + 1] for part in inputs), text[i : i + 1], mask[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1])


def test_text_matters_unless_dropped_or_masked(small):
    network, inputs, text = small
    with_text, without = network(*inputs, text), network(*inputs)
    assert (with_text - without).abs().max() > 1e-3
    drop = torch.tensor([True, False, True])
    torch.testing.assert_close(network(*inputs, text, None, drop)[drop], without[drop])
    mask = torch.arange(7).expand(3, 7) < 4
    changed = torch.where(mask[..., None], text, 9.0)
    torch.testing.assert_close(network(*inputs, changed, mask), network(*inputs, text, mask))


def test_one_text_serves_slices_in_a_row(small):
    network, inputs, text = small
    twice = [part.repeat_interleave(2, 0) for part in inputs]
    reused = network(*twice, text_condition=network.encode_text(text))
    torch.testing.assert_close(reused, network(*twice, text.repeat_interleave(2, 0)))


def test_every_parameter_learns(small):
    network, inputs, text = small
    network.requires_grad_(True)
    drop = torch.tensor([True, False, False])
    network(*inputs, text, None, drop).square().mean().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_starts_at_zero(small):
    _, inputs, text = small
    assert not SuperResUNet(**SMALL).double()(*inputs, text).any()


def test_sizes_that_do_not_halve_are_refused(small):
    network, (noisy, log_snr, lowres, lowres_log_snr), _ = small
    with pytest.raises(InputError, match=r"8×10.*multiples of 4"):
        network(noisy[..., :10], log_snr, lowres[..., :10], lowres_log_snr)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"dim": 12}, "dim=12"), ({"cross_attention": [True]}, "expected 2 flags"), ({"max_text_tokens": 600}, "512")],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        SuperResUNet(**{**SMALL, **settings})
