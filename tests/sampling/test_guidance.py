"""Classifier-free guidance."""

import torch

from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.sampling.guidance import guided, prepare_guided


class TextSum:
    """Scores that tell whether the text was seen; counts its calls and their batch sizes."""

    def __init__(self):
        self.batches = []

    def __call__(self, ids, text_features, text_mask, drop_text):
        self.batches.append(len(ids))
        seen = (text_features * text_mask[..., None]).sum((1, 2))
        if drop_text is not None:
            seen = seen * ~drop_text
        return ids.float() + seen[:, None, None, None]


def inputs():
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    return torch.randint(5, (3, 2, 2, 2)), torch.randn(3, 4, 6), mask


def scores(network, ids, features, mask, scale):
    predict = prepare_guided(network, ids.shape[1:], features, mask, scale)
    return predict.to_scores(predict.features(ids))


def test_formula():
    conditional, unconditional = torch.randn(5), torch.randn(5)
    torch.testing.assert_close(
        guided(conditional, unconditional, 5.0), unconditional + 5 * (conditional - unconditional)
    )
    assert torch.equal(guided(conditional, unconditional, 1.0), conditional)
    assert torch.equal(guided(conditional, unconditional, 0.0), unconditional)


def test_guidance_one_is_the_conditional_pass_alone():
    network, (ids, features, mask) = TextSum(), inputs()
    assert torch.equal(scores(network, ids, features, mask, 1.0), network(ids, features, mask, None))
    assert network.batches == [3, 3]


def test_other_scales_take_one_batch_of_both():
    network, (ids, features, mask) = TextSum(), inputs()
    guided_scores = scores(network, ids, features, mask, 3.0)
    assert network.batches == [6]
    torch.testing.assert_close(guided_scores, ids + 3 * (features * mask[..., None]).sum((1, 2))[:, None, None, None])


@torch.no_grad()
def test_networks_prepared_once_score_as_two_passes_do():
    """What is shared (bias, text, everything before the first cross-attention) and where guidance acts do not show."""
    sizes = {"num_tokens": 4, "max_tokens": 8, "dim": 16, "depth": 2, "heads": 2, "dim_head": 8, "text_width": 6}
    ids, features, mask = inputs()
    for kind in (MaskGIT, TokenCritic):
        torch.manual_seed(0)
        network = kind(**sizes).eval()
        expected = guided(network(ids, features, mask), network(ids), 3.0)
        torch.testing.assert_close(scores(network, ids, features, mask, 3.0), expected)
        torch.testing.assert_close(scores(network, ids, features, mask, 1.0), network(ids, features, mask))


@torch.no_grad()
def test_the_first_self_attention_is_not_computed_twice():
    sizes = {"num_tokens": 4, "max_tokens": 8, "dim": 16, "depth": 2, "heads": 2, "dim_head": 8, "text_width": 6}
    network, (ids, features, mask) = MaskGIT(**sizes).eval(), inputs()
    batches = []
    for layer in network.transformer.layers:
        layer.attention.register_forward_hook(lambda module, args, out: batches.append(len(out)))
    scores(network, ids, features, mask, 3.0)
    assert batches == [3, 6]
