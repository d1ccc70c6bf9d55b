import torch

from generatect.networks.label_head import LabelHead


def test_padding_is_not_read():
    torch.manual_seed(0)
    head = LabelHead(num_labels=3, text_width=8)
    features, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    mask[0, 3:] = False
    changed = features.clone()
    changed[0, 3:] = 100.0
    assert torch.equal(head(features, mask), head(changed, mask))
    assert not torch.equal(head(features, torch.ones_like(mask)), head(changed, torch.ones_like(mask)))


def test_it_learns_which_token_carries_which_label():
    torch.manual_seed(0)
    head, generator = LabelHead(num_labels=2, text_width=8), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    mask = torch.ones(64, 6, dtype=torch.bool)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        """Token 0 or 1 of the vocabulary is among six, or is not."""
        words = torch.randint(2, 8, (64, 6), generator=generator)
        present = torch.rand(64, 2, generator=generator) < 0.5
        words[:, 0] = torch.where(present[:, 0], 0, words[:, 0])
        words[:, 1] = torch.where(present[:, 1], 1, words[:, 1])
        return torch.nn.functional.one_hot(words, 8).float(), present.float()

    for _ in range(150):
        features, labels = batch()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(features, mask), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, labels = batch()
    assert ((head(features, mask) > 0) == labels.bool()).float().mean() > 0.95
