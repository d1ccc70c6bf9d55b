"""Key names of the published token networks."""

import pytest
import torch

from generatect.checkpoints import released_tokens

CASES = [("ctvit", "ctvit"), ("ctvit", "ctvit_two_channels"), ("maskgit", "maskgit"), ("token_critic", "token_critic")]


@pytest.mark.parametrize(("network", "recording"), CASES)
def test_there_and_back(load_recording, network, recording):
    original = load_recording(recording).state()
    ours = getattr(released_tokens, f"{network}_from_original")(original)
    back = getattr(released_tokens, f"{network}_to_original")(ours)
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in original.items()}
    lost = [key for key in back if not torch.equal(back[key], original[key])]
    assert all(".1.context_norm.gamma" in key for key in lost)  # stored, never used


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError, match="surprise"):
        released_tokens.maskgit_from_original({"surprise.weight": torch.zeros(1)})
