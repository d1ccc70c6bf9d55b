import pytest
import torch

from generatect.metrics.codebook import codebook_use


def test_even_use_of_half_the_codes():
    use = codebook_use(torch.tensor([3, 3, 0, 0]))
    assert use.used == 0.5
    assert use.perplexity == pytest.approx(2.0)


def test_closed_form_of_an_uneven_use():
    use = codebook_use(torch.tensor([3.0, 1.0]))
    assert use.perplexity == pytest.approx(4 / 27**0.25)  # exp of 3/4 ln 4/3 + 1/4 ln 4
