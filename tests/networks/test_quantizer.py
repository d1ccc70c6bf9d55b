"""The vector quantiser: the released training step, and laws."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from generatect.errors import InputError
from generatect.networks import quantizer as quantizer_module
from generatect.networks.quantizer import CosineQuantizer


def clusters(num_tokens: int, num_clusters: int = 64, width: int = 16, seed: int = 0) -> torch.Tensor:
    """Tokens around fixed centres, nine in ten at the first centre, as most of a chest CT's background is alike."""
    centres = torch.randn(num_clusters, width, generator=torch.Generator().manual_seed(7)) * 3
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(num_clusters, (num_tokens,), generator=generator)
    which[torch.rand(num_tokens, generator=generator) < 0.9] = 0
    return (centres[which] + 0.1 * torch.randn(num_tokens, width, generator=generator))[None]


def test_one_training_step_agrees_with_the_released_code(load_recording, assert_relative, assert_identical):
    recording = load_recording("ctvit")
    inputs, config = recording.state("vq.in."), recording.config
    model = CosineQuantizer(num_codes=config["codebook_size"], width=config["dim"]).train()
    model.codebook.copy_(inputs["embed"][0])
    model.cluster_size.copy_(inputs["cluster_size"][0])
    quantized, ids, commitment_loss, _ = model(inputs["tokens"])
    assert_identical(ids, recording.expected("vq.out.indices"))
    assert_relative(quantized, recording.expected("vq.out.quantized"))
    assert_relative(commitment_loss[None], recording.expected("vq.out.commitment_loss"))
    assert_relative(model.codebook[None], recording.expected("vq.out.embed_after"))
    assert_relative(model.cluster_size[None], recording.expected("vq.out.cluster_size_after"))


def test_the_gradient_passes_straight_through():
    tokens = torch.randn(2, 5, 8).requires_grad_()
    CosineQuantizer(num_codes=16, width=8).eval()(tokens).quantized.sum().backward()
    assert torch.equal(tokens.grad, torch.ones_like(tokens))


def test_eval_mode_changes_nothing():
    model = CosineQuantizer(num_codes=16, width=8, revive_after=1, init_from_data=True).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.randn(2, 5, 8))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_codes_of_ids_are_what_quantising_gives():
    for code_width in (None, 4):
        model = CosineQuantizer(num_codes=16, width=8, code_width=code_width).eval()
        out = model(torch.randn(2, 5, 8))
        torch.testing.assert_close(model.codes(out.ids), out.quantized)


def test_chunks_of_the_search_do_not_show(monkeypatch):
    model, tokens = CosineQuantizer(num_codes=16, width=8).eval(), torch.randn(2, 33, 8)
    whole = model(tokens).ids
    monkeypatch.setattr(quantizer_module, "_MAX_SIMILARITIES", 16 * 5)
    assert torch.equal(model(tokens).ids, whole)


def test_perplexity_counts_codes_used_equally():
    model = CosineQuantizer(num_codes=8, width=8).eval()
    model.codebook.copy_(torch.eye(8))
    tokens = torch.eye(8)[[0, 1, 2, 3, 0, 1, 2, 3]][None]
    assert math.isclose(model(tokens).perplexity.item(), 4, rel_tol=1e-5)


@torch.no_grad()
def used_after(num_steps: int, **settings) -> int:
    torch.manual_seed(0)
    model = CosineQuantizer(num_codes=64, width=16, decay=0.95, **settings).train()
    for step in range(num_steps):
        model(clusters(512, seed=step))
    return len(model.eval()(clusters(8192, seed=-1)).ids.unique())


def test_revival_brings_codes_into_use(record_effect):
    released, revived = used_after(40), used_after(40, revive_after=5)
    record_effect("no code revival", "made-up tokens, 40 steps: codes of 64 in use", str(released))
    record_effect("no code revival", "the same with revival", str(revived))
    assert released < 45
    assert revived >= 60
    assert used_after(40, revive_after=5, init_from_data=True) >= 60


def test_init_from_data_takes_tokens_of_the_first_batch_once():
    model, tokens = CosineQuantizer(num_codes=8, width=16, init_from_data=True).train(), clusters(256)
    model(tokens)
    similarity = model.codebook @ F.normalize(tokens[0], dim=-1).T
    torch.testing.assert_close(similarity.max(dim=-1).values, torch.ones(8))
    after_first = model.codebook.clone()
    model(tokens)
    assert (F.normalize(model.codebook, dim=-1) * after_first).sum(-1).min() > 0.5


def test_resuming_repeats_revival():
    first = CosineQuantizer(num_codes=32, width=16, revive_after=2).train()
    first(clusters(64, seed=0))
    second = CosineQuantizer(num_codes=32, width=16, revive_after=2).train()
    second.load_state_dict(first.state_dict())
    for step in (1, 2, 3):
        first(clusters(64, seed=step)), second(clusters(64, seed=step))
    assert torch.equal(first.codebook, second.codebook)


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"revive_after": 0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        CosineQuantizer(num_codes=4, width=4, **settings)


SETTINGS = ({}, {"revive_after": 2, "init_from_data": True})


def _train_in_process(rank: int, folder: str) -> None:
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    states = [_four_steps(settings, lambda step: clusters(128, seed=10 * step + rank)) for settings in SETTINGS]
    torch.save(states, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _four_steps(settings: dict, tokens_of: Callable[[int], torch.Tensor]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = CosineQuantizer(num_codes=16, width=16, decay=0.5, **settings).train()
    for step in range(4):
        model(tokens_of(step))
    return model.state_dict()


def test_processes_count_together(tmp_path):
    """Both keep one codebook; without revival it is the one that a single process has with all their tokens."""
    torch.multiprocessing.spawn(_train_in_process, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for ours, theirs in zip(first, second, strict=True):
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    both = _four_steps({}, lambda step: torch.cat([clusters(128, seed=10 * step + rank) for rank in (0, 1)], dim=1))
    torch.testing.assert_close(first[0], both)
