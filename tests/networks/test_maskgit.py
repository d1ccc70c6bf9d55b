"""MaskGIT and token critic: agreement with the released code, and laws."""

import pytest
import torch
import torch.nn.functional as F

from generatect.checkpoints.released_tokens import maskgit_from_original
from generatect.errors import InputError
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic

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
    model, inputs, out = released_maskgit(recording), recording.state("in."), recording.state("out.")
    ids = inputs["token_ids"].view(-1, 5, 4, 4)
    conditional = model(ids, inputs["text_embeds"], inputs["text_mask"]).flatten(1, 3)
    unconditional = model(ids).flatten(1, 3)
    assert_relative(conditional, out["logits_cond"])
    assert_relative(unconditional, out["logits_uncond"])
    assert_relative(unconditional + 5 * (conditional - unconditional), out["logits_guided_scale5"])
    loss = F.cross_entropy(conditional[inputs["mask"]], inputs["target_ids"][inputs["mask"]])
    assert_relative(loss[None], out["masked_cross_entropy"])


def test_intermediate_values_and_gradients_agree(load_recording, released_maskgit, assert_relative):
    recording = load_recording("maskgit_gradients")
    model, inputs, mid = released_maskgit(recording).train(), recording.state("in."), recording.state("mid.")
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
    ids = torch.where(mask, model.mask_id, target).view(-1, 3, 4, 5)
    logits = model(ids, inputs["text_embeds"], inputs["text_mask"]).flatten(1, 3)
    loss = F.cross_entropy(logits[mask], target[mask])
    assert_relative(loss[None], recording.tensors["out.masked_cross_entropy"])
    for name, expected in mid.items():
        assert_relative(seen[name], expected)

    loss.backward()
    gradients = maskgit_from_original(recording.state("grad."))
    parameters = dict(model.named_parameters())
    assert parameters.keys() == gradients.keys()
    for name, expected in gradients.items():
        if name == "position_bias.net.4.bias":  # softmax ignores a shift of all logits: both hold rounding errors alone
            assert parameters[name].grad.abs().max() < 1e-5 * parameters["position_bias.net.4.weight"].grad.abs().max()
        else:
            assert_relative(parameters[name].grad, expected)


@torch.no_grad()
def test_critic_scores_agree_with_the_released_code(load_recording, released_maskgit, assert_relative):
    recording = load_recording("token_critic")
    model, inputs = released_maskgit(recording, network=TokenCritic), recording.state("in.")
    scores = model(inputs["token_ids"].view(-1, 5, 4, 4), inputs["text_embeds"], inputs["text_mask"])
    assert_relative(scores.flatten(1), recording.tensors["out.scores"])


@torch.no_grad()
def test_the_two_forms_differ(load_recording, released_maskgit):
    recording = load_recording("maskgit")
    ids = recording.tensors["in.token_ids"].view(-1, 5, 4, 4)
    released, mended = (released_maskgit(recording, compat=form)(ids) for form in ("released", "mended"))
    assert (released - mended).abs().max() > 1e-3


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
