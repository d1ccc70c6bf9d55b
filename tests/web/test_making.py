"""What the page makes is what the command makes; what is cancelled leaves nothing."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generatect.ct.nifti import read_nifti
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TokenOptions, UpscaleOptions
from generatect.web.jobs import CancelledError, Job
from generatect.web.making import Wish, generate, reconstruct
from generatect.web.previews import ids_of_air, show_air

PROMPT = "Large right pleural effusion."
WISH = Wish(PROMPT, 7, TokenOptions(steps=4), UpscaleOptions(steps=2, slices_per_batch=4))


class Watched(Job):
    """A job that is cancelled at a moment of the test's choosing, and counts what happens after."""

    def __init__(self, stop_at=None) -> None:
        super().__init__("generate", PROMPT, {}, lambda job: "")
        self.stop_at, self.calls, self.pictures = stop_at, [], []

    def go_on(self) -> None:
        self.calls.append(dict(self.stages))
        if self.stop_at and self.stop_at(self):
            self.stop.set()
        super().go_on()

    def show(self, picture: bytes) -> None:
        self.pictures.append(picture)
        super().show(picture)


def test_the_same_bytes_as_the_command(model, command, tmp_path):
    """Pictures on the way change nothing."""
    job = Watched()
    name = generate(model, replace(WISH, upscale=UpscaleOptions(steps=1)), tmp_path, job)
    settings = ("seed=7", "tokens.steps=4", "upscale.steps=1", "upscale.slices_per_batch=4", "device=cpu")
    ended = command("generate", f"prompt={PROMPT}", *settings, f"output={tmp_path / 'command'}")
    assert ended.code == 0, ended.err
    for suffix in (".nii.gz", ".png"):
        ours, theirs = tmp_path / f"{name}{suffix}", tmp_path / "command" / f"generated{suffix}"
        assert ours.read_bytes() == theirs.read_bytes()
    ours, theirs = (
        json.loads(path.read_text()) for path in (tmp_path / f"{name}.json", tmp_path / "command" / "generated.json")
    )
    assert ours == theirs
    assert "PHANTOM" in ours["notice"]
    assert job.stages == {"tokens": (4, 4), "slices": (17, 17)}
    assert len(job.pictures) >= 2
    with Image.open(io.BytesIO(job.pictures[-1])) as picture:
        assert len(np.unique(np.asarray(picture))) >= 50


@pytest.mark.parametrize(
    ("when", "stages"),
    [
        ("at the second token step", {"tokens": (1, 4)}),
        ("within the first batch of slices", {"tokens": (4, 4), "slices": (0, 17)}),
        ("after two batches of slices", {"tokens": (4, 4), "slices": (8, 17)}),
    ],
)
def test_cancelled_within_a_step_and_nothing_is_left(model, tmp_path, when, stages):
    job = Watched(stop_at=lambda job: job.stages == stages)
    with pytest.raises(CancelledError):
        generate(model, WISH, tmp_path, job)
    assert job.stages == stages, when
    assert job.calls[-1] == stages  # nothing was begun after it
    assert list(tmp_path.iterdir()) == []


def test_hidden_tokens_are_shown_as_air(model):
    shape, mask_id = model.preset.grid.shape_zyx, model.maskgit.mask_id
    air = ids_of_air(model.tokenizer, shape)
    hidden = torch.full_like(air, mask_id)
    assert torch.equal(show_air(hidden, mask_id, air), air)
    kept = torch.zeros_like(air)
    assert torch.equal(show_air(kept, mask_id, air), kept)
    with torch.inference_mode():
        decoded = model.tokenizer.decode_ids(show_air(hidden, mask_id, air))
    assert decoded.mean() < -0.9


def test_a_reconstruction_lies_on_the_grid_of_its_original(model, tmp_path):
    original = PhantomPairs(num=1, seed=5, native_shape_zyx=(40, 96, 96)).volume(0)
    name = reconstruct(model, original, "a scan", "files/0/scan.nii.gz", tmp_path, Watched())
    result = read_nifti(tmp_path / f"{name}.nii.gz", hu_policy="already_hu")
    assert result.shape_zyx == original.shape_zyx
    np.testing.assert_allclose(result.affine, original.affine, atol=1e-5)
    sidecar = json.loads((tmp_path / f"{name}.json").read_text())
    assert sidecar["source"] == "files/0/scan.nii.gz"
    assert sidecar["grid_psnr_db"] > 20
    assert sidecar["notice"].startswith("SYNTHETIC")
    assert sorted(path.suffix for path in Path(tmp_path).iterdir()) == [".gz", ".json", ".png"]
