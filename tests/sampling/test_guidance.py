"""Classifier-free guidance."""

import torch

from generatect.sampling.guidance import guided, guided_scores


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
    return torch.randint(5, (3, 2, 2, 2)), torch.randn(3, 4, 6), torch.ones(3, 4, dtype=torch.bool)


def test_formula():
    conditional, unconditional = torch.randn(5), torch.randn(5)
    torch.testing.assert_close(
        guided(conditional, unconditional, 5.0), unconditional + 5 * (conditional - unconditional)
    )
    assert torch.equal(guided(conditional, unconditional, 1.0), conditional)
    assert torch.equal(guided(conditional, unconditional, 0.0), unconditional)


def test_guidance_one_is_the_conditional_pass_alone():
    network, (ids, features, mask) = TextSum(), inputs()
    assert torch.equal(guided_scores(network, ids, features, mask, 1.0), network(ids, features, mask, None))
    assert network.batches == [3, 3]


def test_other_scales_take_one_batch_of_both():
    network, (ids, features, mask) = TextSum(), inputs()
    scores = guided_scores(network, ids, features, mask, 3.0)
    assert network.batches == [6]
    torch.testing.assert_close(scores, ids + 3 * features.sum((1, 2))[:, None, None, None])
