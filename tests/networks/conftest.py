"""Token networks as the recordings configure them."""

from collections.abc import Callable

import pytest

from generatect.checkpoints.released_tokens import (
    ctvit_from_original,
    maskgit_from_original,
    token_critic_from_original,
)
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic


@pytest.fixture(scope="session")
def released_ctvit() -> Callable[..., CTViT]:
    """Function from a recording to its CT-ViT in eval mode, in the released form unless told otherwise."""

    def build(recording, compat="released") -> CTViT:
        names = {"temporal_patch_size": "slice_patch_size"}
        model = CTViT(**{names.get(k, k): v for k, v in recording.config.items()}, compat=compat)
        model.load_state_dict(ctvit_from_original(recording.state()))
        return model.eval()

    return build


@pytest.fixture(scope="session")
def released_maskgit() -> Callable[..., MaskGIT | TokenCritic]:
    """Function from a recording to its MaskGIT (or token critic) in eval mode."""

    def build(recording, network=MaskGIT, compat="released") -> MaskGIT | TokenCritic:
        names = {"max_seq_len": "max_tokens", "dim_context": "text_width"}
        config = {names.get(k, k): v for k, v in recording.config.items() if k != "patch_shape"}
        model = network(**config, compat=compat)
        from_original = maskgit_from_original if network is MaskGIT else token_critic_from_original
        model.load_state_dict(from_original(recording.state()))
        return model.eval()

    return build
