"""The published token networks: size, and every tensor of the published files in its place."""

import pytest
import torch

from generatect.checkpoints.released_tokens import ctvit_from_original, maskgit_from_original
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT

RELEASED_CTVIT = {
    "dim": 512,
    "codebook_size": 8192,
    "image_size": 128,
    "patch_size": 16,
    "slice_patch_size": 2,
    "spatial_depth": 4,
    "temporal_depth": 4,
    "dim_head": 32,
    "heads": 8,
    "compat": "released",
}
RELEASED_MASKGIT = {
    "num_tokens": 8192,
    "max_tokens": 10000,
    "dim": 512,
    "depth": 6,
    "heads": 8,
    "dim_head": 64,
    "text_width": 768,
    "compat": "released",
}


@pytest.fixture(scope="module")
def ctvit() -> CTViT:
    with torch.device("meta"):
        return CTViT(**RELEASED_CTVIT)


@pytest.fixture(scope="module")
def maskgit() -> MaskGIT:
    with torch.device("meta"):
        return MaskGIT(**RELEASED_MASKGIT)


@pytest.fixture(scope="module")
def published_state(published_layout: dict):
    """Function from a published file and a key prefix to a state dict of empty tensors in its layout."""

    def read(file: str, prefix: str = "") -> dict[str, torch.Tensor]:
        rows = {k.removeprefix(prefix): row for k, row in published_layout[file].items() if k.startswith(prefix)}
        own = {key: row[0] for key, row in rows.items() if not key.startswith(("vgg.", "discr."))}
        return {key: torch.empty(shape, device="meta") for key, shape in own.items()}

    return read


def test_published_numbers_of_parameters(ctvit, maskgit):
    assert sum(p.numel() for p in ctvit.parameters()) == pytest.approx(43.3e6, rel=2e-3)
    assert sum(p.numel() for p in maskgit.parameters()) == pytest.approx(40.4e6, rel=2e-3)


def test_published_token_grid(ctvit):
    assert ctvit.token_grid(201) == (101, 8, 8)


def test_the_published_files_load_strictly(ctvit, maskgit, published_state):
    for state in (published_state("ctvit_pretrained.pt"), published_state("transformer_pretrained.pt", "ctvit.")):
        ctvit.load_state_dict(ctvit_from_original(state), strict=True, assign=True)
    state = published_state("transformer_pretrained.pt", "maskgit.")
    maskgit.load_state_dict(maskgit_from_original(state), strict=True, assign=True)
