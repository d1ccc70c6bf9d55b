"""Phantoms that trained, phantoms that did not, and volumes of two generators."""

import pytest
import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import find_weights
from generatect.phantom.pairs import PhantomPairs
from tests.privacy.folders import NUM_GENERATED, NUM_HELDOUT, NUM_TRAIN, Folders, write_phantoms, write_volumes


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Folders:
    """Phantoms on the grid of the shipped tokenizer. A generator that knows its training set by heart makes its tokens
    again, a few of them wrong; an honest one makes tokens of phantoms that are in neither folder."""
    root = tmp_path_factory.mktemp("audit")
    file = find_weights("phantom", "ctvit")
    tokenizer, preset = rebuild_network(file, "ctvit"), rebuild_preset(file)
    train, fresh = PhantomPairs(num=NUM_TRAIN, seed=31), PhantomPairs(num=NUM_GENERATED, seed=33)
    write_phantoms(root / "train", train, preset)
    write_phantoms(root / "heldout", PhantomPairs(num=NUM_HELDOUT, seed=32), preset)
    with torch.inference_mode():
        known = tokenizer.tokenize(torch.stack([train.model_input(index, preset) for index in range(NUM_GENERATED)]))
        wrong = torch.rand(known.shape, generator=torch.Generator().manual_seed(0)) < 0.03
        known = torch.where(wrong, known.roll(1, 0), known)
        new = tokenizer.tokenize(torch.stack([fresh.model_input(index, preset) for index in range(NUM_GENERATED)]))
        write_volumes(root / "copies", tokenizer.decode_ids(known), preset)
        write_volumes(root / "fresh", tokenizer.decode_ids(new), preset)
    return Folders(root / "train", root / "heldout", root / "copies", root / "fresh", preset)
