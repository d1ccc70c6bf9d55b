"""MaskGIT and token critic: agreement with the released code, and laws."""

import pytest
import torch
import torch.nn.functional as F

from generatect.checkpoints.released_tokens import maskgit_to_original
from generatect.errors import InputError
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.sampling.guidance import guided
from tests.parity import relative_change

SMALL = {"num_tokens": 20, "max_tokens": 60, "dim": 16, "depth": 1, "heads": 2, "dim_head": 8, "text_width": 6}


def small(network=MaskGIT) -> MaskGIT | TokenCritic:
    torch.manual_seed(0)
    return network(**SMALL).eval()


def small_inputs():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(21, (3, 5, 2, 3), generator=generator)
    text = torch.randn(3, 4, 6, generator=generator)
    return ids, text, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)


@torch.no_grad()
def test_logits_agree_with_the_released_code(load_recording, released_maskgit, assert_relative):
    recording = load_recording("maskgit")
    model, inputs = released_maskgit(recording), recording.state("in.")
    ids = inputs["token_ids"].view(-1, *recording.config["patch_shape"])
    conditional = model(ids, inputs["text_embeds"], inputs["text_mask"]).flatten(1, 3)
    unconditional = model(ids).flatten(1, 3)
    assert_relative(conditional, recording.expected("out.logits_cond"))
    assert_relative(unconditional, recording.expected("out.logits_uncond"))
    assert_relative(guided(conditional, unconditional, 5.0), recording.expected("out.logits_guided_scale5"))
    loss = F.cross_entropy(conditional[inputs["mask"]], inputs["target_ids"][inputs["mask"]])
    assert_relative(loss[None], recording.expected("out.masked_cross_entropy"))


def test_intermediate_values_and_gradients_agree(load_recording, released_maskgit, assert_relative):
    recording = load_recording("maskgit_gradients")
    model, inputs, mid = released_maskgit(recording).train(), recording.state("in."), recording.state("mid.")
    assert len(mid) == 5
    seen = {}
    first = model.transformer.layers[0]
    for module, name in [
        (first.position, "after_first_peg"),
        (first.attention, "after_first_self_attention"),
        (first.cross_attention, "after_first_cross_attention"),
        (first.feedforward, "after_first_feedforward"),
        (model.transformer, "after_transformer"),
    ]:
        module.register_forward_hook(
            lambda module, args, out, name=name: seen.update({name: out.reshape(mid[name].shape)})
        )
    mask, target = inputs["mask"], inputs["target_ids"]
    ids = torch.where(mask, model.mask_id, target).view(-1, *recording.config["patch_shape"])
    logits = model(ids, inputs["text_embeds"], inputs["text_mask"]).flatten(1, 3)
    loss = F.cross_entropy(logits[mask], target[mask])
    assert_relative(loss[None], recording.expected("out.masked_cross_entropy"))
    for name, value in seen.items():
        assert_relative(value, recording.expected(f"mid.{name}"))

    loss.backward()
    gradients = maskgit_to_original({name: parameter.grad for name, parameter in model.named_parameters()})
    recorded = recording.state("grad.")
    assert len(recorded) == len(list(model.parameters()))
    for name in recorded:
        # The softmax ignores a shift of all logits: this gradient is rounding error alone, its scale the layer's.
        of_shift = name == "continuous_pos_bias.net.2.bias"
        scale = recorded["continuous_pos_bias.net.2.weight"].abs().max() if of_shift else None
        assert_relative(gradients[name], recording.expected(f"grad.{name}"), scale=scale)


@torch.no_grad()
def test_critic_scores_agree_with_the_released_code(load_recording, released_maskgit, assert_relative):
    recording = load_recording("token_critic")
    model, inputs = released_maskgit(recording, network=TokenCritic), recording.state("in.")
    ids = inputs["token_ids"].view(-1, *recording.config["patch_shape"])
    scores = model(ids, inputs["text_embeds"], inputs["text_mask"])
    assert_relative(scores.flatten(1), recording.expected("out.scores"))


@torch.no_grad()
def test_mending_quirk_2_moves_the_logits(load_recording, released_maskgit, record_effect):
    recording = load_recording("maskgit")
    inputs = recording.state("in.")
    ids = inputs["token_ids"].view(-1, *recording.config["patch_shape"])
    mended = released_maskgit(recording, compat="mended")(ids, inputs["text_embeds"], inputs["text_mask"])
    change = relative_change(mended.flatten(1, 3), recording.tensors["out.logits_cond"])
    record_effect("quirk 2: un-normed keys and values", "maskgit: change of the logits", f"{change:.1%}")
    assert change > 0.01


@pytest.mark.parametrize("network", [MaskGIT, TokenCritic])
@torch.no_grad()
def test_an_item_does_not_depend_on_its_neighbours(network):
    model, (ids, text, mask) = small(network), small_inputs()
    torch.testing.assert_close(model(ids, text, mask)[1:2], model(ids[1:2], text[1:2, :2], mask[1:2, :2]))


@pytest.mark.parametrize("network", [MaskGIT, TokenCritic])
@torch.no_grad()
def test_text_is_dropped_per_item(network):
    model, (ids, text, mask) = small(network), small_inputs()
    out = model(ids, text, mask, drop_text=torch.tensor([True, False, True]))
    torch.testing.assert_close(out[[0, 2]], model(ids[[0, 2]]))
    torch.testing.assert_close(out[1], model(ids, text, mask)[1])
    assert not torch.allclose(out[0], model(ids, text, mask)[0])


@torch.no_grad()
def test_a_missing_mask_means_that_all_is_text():
    model, (ids, text, mask) = small(), small_inputs()
    torch.testing.assert_close(model(ids, text), model(ids, text, torch.ones_like(mask)))


@torch.no_grad()
def test_any_grid_up_to_the_longest():
    model = small()
    for t in (1, 4, 10):
        assert model(torch.zeros(1, t, 2, 3, dtype=torch.int64)).shape == (1, t, 2, 3, 20)
    with pytest.raises(InputError, match="66 tokens"):
        model(torch.zeros(1, 11, 2, 3, dtype=torch.int64))


@pytest.mark.parametrize("network", [MaskGIT, TokenCritic])
def test_mixed_precision_is_close_to_full(network):
    model, (ids, text, mask) = small(network), small_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(ids, text, mask)
    mixed.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(mixed.float(), model(ids, text, mask), rtol=0.05, atol=0.05)


def test_the_embeddings_learn_at_a_tenth_of_the_gradient():
    model, (ids, text, mask) = small(), small_inputs()
    seen = {}
    model.embedding.register_forward_hook(lambda module, args, out: seen.update(embedded=out))
    model.transformer.register_forward_pre_hook(lambda module, args: seen.update(shrunk=args[0]))
    total = model(ids, text, mask).square().sum()
    gradient, full_gradient = torch.autograd.grad(total, (seen["embedded"], seen["shrunk"]))
    torch.testing.assert_close(gradient, 0.1 * full_gradient)
