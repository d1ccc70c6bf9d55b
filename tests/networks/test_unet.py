import re
import subprocess
import sys

import pytest
import torch

from generatect.checkpoints.released_superres import unet_from_original, unet_to_original
from generatect.errors import InputError
from generatect.networks.unet import SuperResUNet
from tests.networks.recorded_unet import recorded_unet
from tests.parity import relative_change

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

    assert_relative(network(*inputs, features, mask), recording.expected("out.cond"))
    if "out.uncond" in recording.tensors:
        dropped = torch.ones(len(mask), dtype=torch.bool)
        assert_relative(network(*inputs), recording.expected("out.uncond"))
        assert_relative(network(*inputs, features, mask, dropped), recording.expected("out.uncond"))


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
    network.noise_level.to_vector.register_forward_pre_hook(lambda _module, inputs: seen.update(time_hidden=inputs[0]))

    inputs = [recorded[f"in.{key}"] for key in ("x", "log_snr", "lowres", "lowres_log_snr", "text_embeds", "text_mask")]
    loss = (network(*inputs) - recorded["in.target"]).square().mean()
    loss.backward()
    seen["time_vector"], seen["time_tokens"] = seen.pop("noise_level")
    seen["text_vector"], seen["text_tokens"] = seen.pop("text")
    assert seen.keys() == recording.state("mid.").keys()
    for name, value in seen.items():
        assert_relative(value, recording.expected(f"mid.{name}"))
    assert_relative(loss[None], recording.expected("out.mse"))

    gradients = unet_to_original({name: parameter.grad for name, parameter in network.named_parameters()})
    assert recording.state("grad.")
    for name in recording.state("grad."):
        assert_relative(gradients[name], recording.expected(f"grad.{name}"))


@torch.no_grad()
def test_levels_left_without_cross_attention_drop_tensors(load_recording, record_effect):
    """Quirk 4: the published YAML's list, read as it looks, describes another network than the published weights."""
    recording = load_recording("unet_cross_everywhere")
    state, config = recording.state(), recording.config
    last_alone = [False] * (len(config["dim_mults"]) - 1) + [True]
    with pytest.raises(RuntimeError, match="Unexpected key") as caught:
        recorded_unet(config | {"layer_cross_attns": last_alone}, state)

    attends = re.compile(r"(downs|ups)\.(\d+)\.[01]\.cross_attn\.")  # the finest level comes first and last
    dropped = [key for key in state if (found := attends.match(key)) and is_finer(found, len(last_alone))]
    assert all(new in str(caught.value) for new in unet_from_original({key: state[key] for key in dropped}))
    kept = {key: value for key, value in state.items() if key not in dropped}
    network = recorded_unet(config | {"layer_cross_attns": last_alone}, kept)  # strict: these tensors and no others
    inputs = ("x", "log_snr", "lowres", "lowres_log_snr", "text_embeds", "text_mask")
    mended = network(*(recording.tensors[f"in.{key}"] for key in inputs))
    change = relative_change(mended, recording.tensors["out.cond"])
    what = "quirk 4: cross-attention at every level"
    record_effect(what, "unet_cross_everywhere: tensors lost at [no, no, yes]", str(len(dropped)))
    record_effect(what, "unet_cross_everywhere: change of the output", f"{change:.1%}")
    assert change > 0.01


def is_finer(found: re.Match, num_levels: int) -> bool:
    """Whether a level found by its published name is not the coarsest."""
    side, number = found.groups()
    return int(number) != (num_levels - 1 if side == "downs" else 0)


def test_published_size_and_names(published_layout):
    model = published_layout["superres_pretrained.pt"]["model"]
    published = {
        key.removeprefix("unets.1."): torch.empty(shape, device="meta")
        for key, (shape, _) in model.items()
        if key.startswith("unets.1.")
    }
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


def test_sampling_overwrites_its_own_maps_alone(small):
    network, inputs, text = small
    before = [part.clone() for part in inputs]
    expected = network(*inputs, text)  # gradients are on: every map stays
    with torch.inference_mode():
        torch.testing.assert_close(network(*inputs, text), expected, rtol=0, atol=0)
    assert all(torch.equal(part, then) for part, then in zip(inputs, before, strict=True))


IN_ONE_GRAPH = f"""
import torch
from generatect.networks.unet import SuperResUNet
network = SuperResUNet(**{SMALL}).requires_grad_(False)
torch.nn.init.normal_(network.last_convolution.weight)
slices, log_snr, text = torch.randn(2, 3, 1, 8, 12), torch.randn(2, 3), torch.randn(3, 4, 6)
compiled = torch.compile(network, fullgraph=True, backend="eager")  # fails at the first break
with torch.inference_mode():
    condition = network.encode_text(text)
    inputs = (slices[0], log_snr[0], slices[1], log_snr[1])
    expected = network(*inputs, text_condition=condition)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(compiled(*inputs, text_condition=condition), expected)
"""


def test_compiles_into_one_graph():
    """In a process of its own: here every call is checked against its annotations, which no graph takes in."""
    ended = subprocess.run([sys.executable, "-c", IN_ONE_GRAPH], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_is_close_and_leaves_noise_levels_alone(dtype):
    torch.manual_seed(0)
    network = SuperResUNet(**SMALL).eval()
    network.last_convolution.weight.normal_(std=0.1)
    slices, log_snr, text = torch.randn(2, 1, 8, 12), torch.tensor([-8.0, 8.0]), torch.randn(1, 7, 6)
    condition = network.encode_text(text)
    full = network(slices, log_snr, slices, log_snr, text_condition=condition)
    network.to_precision(dtype)
    half = network(slices, log_snr, slices, log_snr, text_condition=network.encode_text(text))
    assert half.dtype == torch.float32
    assert network.middle[0].second.convolution.weight.dtype == dtype
    assert network.noise_level.frequencies.dtype == torch.float32
    assert (half - full).abs().max() < 0.05 * full.abs().max()
    again = network.to_precision(torch.float32)(slices, log_snr, slices, log_snr)
    assert again.dtype == torch.float32


@torch.no_grad()
def test_cross_attention_is_that_of_queries_keys_and_values(small):
    """The maps that are multiplied together beforehand, applied one after the other."""
    network, _, _ = small
    attention = network.down[1].entry.attention
    pixels, tokens = torch.randn(2, 6, 16, dtype=torch.float64), torch.randn(2, 5, 8, dtype=torch.float64)
    split = (2, 4)  # heads, width
    query = attention.to_query(attention.norm(pixels)).unflatten(-1, split).transpose(1, 2)
    key, value = (part.unflatten(-1, split).transpose(1, 2) for part in attention.to_key_value(tokens).chunk(2, -1))
    null_key, null_value = (null.expand(2, 2, 1, 4) for null in attention.null_key_value)
    key, value = torch.cat([null_key, key], 2), torch.cat([null_value, value], 2)
    read = (query @ key.mT / 2).softmax(-1) @ value
    torch.testing.assert_close(attention(pixels, tokens), attention.to_out(read.transpose(1, 2).flatten(2)))


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
def test_pixels_that_attend_in_parts_are_those_that_attend_alone(small, batch):
    network, _, _ = small
    attention, num = network.down[1].entry.attention, 10_001  # more than a CPU takes at a time
    pixels, tokens = torch.randn(batch, num, 16, dtype=torch.float64), torch.randn(batch, 5, 8, dtype=torch.float64)
    chosen = [0, 2729, 2730, 2731, 8191, 8192, 8193, num - 1]
    alone = torch.cat([attention(pixels[:, place : place + 1], tokens) for place in chosen], dim=1)
    torch.testing.assert_close(attention(pixels, tokens)[:, chosen], alone)
