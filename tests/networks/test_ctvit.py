"""CT-ViT: agreement with the released code, and laws."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from generatect.checkpoints.released_tokens import ctvit_to_original
from generatect.errors import InputError
from generatect.networks.attention import SelfAttention
from generatect.networks.compat import is_released
from generatect.networks.ctvit import CTViT
from generatect.networks.patches import patchify, unpatchify
from generatect.networks.transformer import PositionConvolution
from tests.parity import relative_change

SMALL = {
    "dim": 16,
    "codebook_size": 32,
    "image_size": 16,
    "patch_size": 4,
    "slice_patch_size": 2,
    "spatial_depth": 1,
    "temporal_depth": 1,
    "dim_head": 8,
    "heads": 2,
}


def small_ctvit(**changes) -> CTViT:
    torch.manual_seed(0)
    return CTViT(**SMALL | changes)


def small_volume(num_items: int = 2, num_slices: int = 5, channels: int = 1) -> torch.Tensor:
    return torch.rand(num_items, channels, num_slices, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_agrees_with_the_released_code(load_recording, released_ctvit, assert_relative, assert_identical):
    recording = load_recording("ctvit")
    model, volume, ids = released_ctvit(recording), recording.tensors["in.video"], recording.tensors["out.indices"]
    tokens = rearrange(model.encode(volume), "b t h w d -> (b h w) t d")
    assert_relative(tokens, recording.expected("out.encoder_tokens"))
    assert_identical(model.tokenize(volume), recording.expected("out.indices"))
    assert_relative(model(volume).reconstruction, recording.expected("out.reconstruction"))
    assert_relative(model.decode_ids(ids), recording.expected("out.decoded_from_indices"))
    mse = F.mse_loss(model.train()(volume).reconstruction, volume)
    assert_relative(mse[None], recording.expected("out.train_mse"))


def test_intermediate_values_and_gradients_agree(load_recording, released_ctvit, assert_relative):
    recording = load_recording("ctvit_two_channels")
    model, volume = released_ctvit(recording).train(), recording.tensors["in.volume"]
    seen = {}

    def record(name, pattern):
        return lambda module, args, out: seen.update({name: rearrange(out, pattern)})

    slices, columns, same = "b t h w d -> (b t) (h w) d", "b t h w d -> (b h w) t d", "... -> ..."
    first_layer = model.temporal_encoder.layers[0]
    for module, name, pattern in [
        (model.spatial_encoder, "after_spatial_encoder", slices),
        (first_layer.position, "temporal_encoder_first_peg", columns),
        (first_layer.attention, "temporal_encoder_first_attention", same),
        (model.temporal_encoder, "after_temporal_encoder", columns),
        (model.temporal_decoder, "after_temporal_decoder", columns),
        (model.spatial_decoder, "after_spatial_decoder", slices),
    ]:
        module.register_forward_hook(record(name, pattern))
    model.spatial_bias.register_forward_hook(lambda module, args, out: seen.update(spatial_bias=out.dense))
    model.patches.register_forward_hook(
        lambda module, args, out: seen.update(first_slice_tokens=out[:, :1], other_tokens=out[:, 1:])
    )
    model.quantizer.register_forward_hook(
        lambda module, args, out: seen.update(quantised_straight_through=out.quantized)
    )
    loss = F.mse_loss(model(volume).reconstruction, volume)
    assert_relative(loss[None], recording.expected("out.train_mse"))
    assert seen.keys() == recording.state("mid.").keys()
    for name, value in seen.items():
        assert_relative(value, recording.expected(f"mid.{name}"))

    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    gradients = ctvit_to_original(
        gradients | {f"quantizer.{name}": torch.zeros(1) for name in ("codebook", "cluster_size")}
    )
    recorded = recording.state("grad.")
    assert recorded
    for name in recorded:
        # The softmax ignores a shift of all logits: this gradient is rounding error alone, its scale the layer's.
        of_shift = name == "spatial_rel_pos_bias.net.2.bias"
        scale = recorded["spatial_rel_pos_bias.net.2.weight"].abs().max() if of_shift else None
        assert_relative(gradients[name], recording.expected(f"grad.{name}"), scale=scale)


def with_one_quirk_mended(model: CTViT, quirk: int) -> CTViT:
    """The released form with the scrambled convolution (1) or the un-normed keys and values (2) put right."""
    for module in model.modules():
        if quirk == 1 and isinstance(module, PositionConvolution):
            module.scrambled = False
        if quirk == 2 and isinstance(module, SelfAttention):
            module.norms_key_values = True
    return model


@pytest.mark.parametrize(("quirk", "what"), [(1, "scrambled convolution"), (2, "un-normed keys and values")])
@torch.no_grad()
def test_each_quirk_by_itself_moves_the_tokens(load_recording, released_ctvit, record_effect, quirk, what):
    recording = load_recording("ctvit")
    volume, recorded = recording.tensors["in.video"], recording.tensors["out.encoder_tokens"]
    model = with_one_quirk_mended(released_ctvit(recording), quirk)
    change = relative_change(rearrange(model.encode(volume), "b t h w d -> (b h w) t d"), recorded)
    kept = (model.tokenize(volume) == recording.tensors["out.indices"]).float().mean().item()
    record_effect(f"quirk {quirk}: {what}", "ctvit: change of the encoder tokens", f"{change:.1%}")
    record_effect(f"quirk {quirk}: {what}", "ctvit: tokens that keep their code", f"{kept:.1%}")
    assert change > 0.01


@torch.no_grad()
def test_mending_both_quirks_gives_the_mended_form(load_recording, released_ctvit):
    recording = load_recording("ctvit_two_channels")
    volume = recording.tensors["in.volume"]
    step_by_step = with_one_quirk_mended(with_one_quirk_mended(released_ctvit(recording), 1), 2)
    mended = released_ctvit(recording, compat="mended")
    assert torch.equal(step_by_step(volume).reconstruction, mended(volume).reconstruction)


@torch.no_grad()
def test_a_single_slice_cannot_be_scrambled():
    """Quirk 1 reorders memory along t: one slice is the same in both forms, and spatial layers always are."""
    for num_slices, same in ((1, True), (3, False)):
        volume = small_volume(num_slices=num_slices)
        released, mended = (
            with_one_quirk_mended(small_ctvit(compat=form).eval(), 2).encode(volume) for form in ("released", "mended")
        )
        assert torch.equal(released, mended) == same
    spatial = small_ctvit(compat="released").spatial_encoder
    assert not any(layer.position.scrambled for layer in spatial.layers)


@torch.no_grad()
def test_an_item_does_not_depend_on_its_neighbours():
    model, volume = small_ctvit().eval(), small_volume(3)
    together, alone = model(volume), model(volume[1:2])
    assert torch.equal(together.ids[1:2], alone.ids)
    torch.testing.assert_close(together.reconstruction[1:2], alone.reconstruction)


@torch.no_grad()
def test_the_mended_encoder_mixes_columns_only_through_space():
    """With no spatial layers, a mended encoder's tokens depend on the patches within a 3×3 neighbourhood alone."""
    changed = small_volume()
    changed[..., :4, :4] *= -1
    for compat, stays in (("mended", True), ("released", False)):
        model = small_ctvit(spatial_depth=0, compat=compat).eval()
        far = (model.encode(small_volume()) - model.encode(changed))[:, :, 2:, 2:].abs().max()
        assert (far < 1e-6) == stays


def test_the_first_slice_is_encoded_without_the_later_ones_position_convolution():
    """Padding in t is causal: the convolution gives slice 0 the same value, however many slices follow."""
    position = small_ctvit().temporal_encoder.layers[0].position
    tokens = torch.randn(1, 4, 4, 4, 16)
    torch.testing.assert_close(position(tokens)[:, :2], position(tokens[:, :2]))


@pytest.mark.parametrize("num_slices", [1, 3, 7])
def test_any_number_of_slices_of_the_right_form(num_slices):
    model, volume = small_ctvit(channels=2, code_dim=8).eval(), small_volume(1, num_slices, channels=2)
    out = model(volume)
    assert out.reconstruction.shape == volume.shape
    assert tuple(out.ids.shape[1:]) == model.token_grid(num_slices)
    torch.testing.assert_close(model.decode_ids(out.ids), out.reconstruction)


@pytest.mark.parametrize(
    ("shape", "named"), [((1, 1, 4, 16, 16), "4 slices"), ((1, 2, 5, 16, 16), "2, 5"), ((1, 1, 5, 16, 8), "16, 8")]
)
def test_other_volumes_are_refused(shape, named):
    with pytest.raises(InputError, match=named):
        small_ctvit().encode(torch.zeros(shape))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="patch_size 5"):
        small_ctvit(patch_size=5)
    with pytest.raises(InputError, match="relaesed"):
        is_released("relaesed")


def test_unpatchify_inverts_patchify():
    volume = small_volume(channels=3)
    assert torch.equal(unpatchify(*patchify(volume, 4, 2), 4, 2), volume)


@torch.no_grad()
def test_mixed_precision_is_close_to_full():
    model, volume = small_ctvit().eval(), small_volume()
    with torch.autocast("cpu", torch.bfloat16):
        tokens = model.encode(volume)
        assert torch.equal(model.quantize(tokens).ids, model.quantize(tokens.float()).ids)
        decoded = model.decode(tokens)
    torch.testing.assert_close(tokens.float(), model.encode(volume), rtol=0.05, atol=0.1)
    torch.testing.assert_close(decoded.float(), model.decode(tokens.float()), rtol=0.05, atol=0.1)


def test_the_adversarial_balance_is_measured_at_a_weight_of_the_decoder():
    model = small_ctvit()
    model(small_volume()).reconstruction.sum().backward()
    assert model.last_decoder_weight.grad.abs().max() > 0
