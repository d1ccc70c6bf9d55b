"""Data modules of the stages: order, split, caches, and slices that lie on one another."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from generatect.ct.preset import PhysicalPreset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import ArrayCache
from generatect.data.ctvit_data import CTViTData
from generatect.data.inputs import ModelInputs
from generatect.data.reconstructions import Reconstructions
from generatect.data.sampler import EndlessShuffle
from generatect.data.split import split_by_patient
from generatect.data.superres_data import SliceDataset, SuperResData
from generatect.data.tokens import VolumeTokens
from generatect.data.transformer_data import TransformerData
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from tests.data.tiny import PRESET, make_tokenizer


def make_slices(
    pairs: PhantomPairs, folder: Path, crop: int | None, prob: float = 0.0, seed: int = 0
) -> tuple[SliceDataset, Reconstructions]:
    inputs = ModelInputs(pairs, PRESET, ArrayCache(folder))
    reconstructions = Reconstructions(inputs, make_tokenizer(0), "sha", inputs.cache)
    bad = BadVolumes(pairs.name, len(pairs))
    return SliceDataset(inputs, list(range(len(pairs))), reconstructions, crop, prob, seed, bad), reconstructions


def take(sampler: EndlessShuffle, count: int) -> list[tuple[int, int]]:
    return list(itertools.islice(sampler, count))


class TestOrder:
    @pytest.mark.parametrize("num_items", [1, 2, 7])
    def test_every_pass_is_a_permutation(self, num_items):
        indices = [index for _, index in take(EndlessShuffle(num_items, seed=3), 5 * num_items)]
        for start in range(0, len(indices), num_items):
            assert sorted(indices[start : start + num_items]) == list(range(num_items))

    def test_passes_and_seeds_differ(self):
        first, second = (take(EndlessShuffle(50, seed), 100) for seed in (0, 1))
        assert [i for _, i in first[:50]] != [i for _, i in first[50:]]
        assert first != second

    @pytest.mark.parametrize("start", [0, 1, 6, 7, 20])
    def test_an_item_depends_on_its_position_alone(self, start):
        whole = take(EndlessShuffle(7, seed=2), 40)
        assert take(EndlessShuffle(7, seed=2, start=start), 15) == whole[start : start + 15]

    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_replicas_share_one_order(self, num_replicas):
        parts = [take(EndlessShuffle(7, 2, rank, num_replicas), 10) for rank in range(num_replicas)]
        together = [item for items in zip(*parts, strict=True) for item in items]
        assert together == take(EndlessShuffle(7, seed=2), 10 * num_replicas)


class TestSplit:
    def test_no_patient_on_both_sides(self):
        data = CTViTData(pairs=PhantomPairs(num=60), preset=PRESET, val_fraction=0.3)
        pairs = data.inputs.pairs
        sides = [{pairs.patient(i) for i in indices} for indices in (data.train_indices, data.val_indices)]
        assert sides[0]
        assert sides[1]
        assert not sides[0] & sides[1]
        assert sorted(data.train_indices + data.val_indices) == list(range(60))

    def test_rows_added_later_move_nobody(self):
        patients = [f"p{i}" for i in range(200)]
        before, after = split_by_patient(patients, val_fraction=0.2), split_by_patient(patients * 2, val_fraction=0.2)
        assert set(before["val"]) <= set(after["val"])
        assert 20 <= len(before["val"]) <= 60

    def test_all_in_validation_is_refused(self):
        pairs = PhantomPairs(num=1)
        seed = next(s for s in range(100) if split_by_patient([pairs.patient(0)], val_fraction=0.5, seed=s)["val"])
        with pytest.raises(InputError, match="no volume left for training"):
            CTViTData(pairs=pairs, preset=PRESET, val_fraction=0.5, seed=seed)


class TestTokens:
    def test_they_are_the_tokenizers_own(self, tmp_path):
        inputs = ModelInputs(PhantomPairs(num=3), PRESET, None)
        tokenizer = make_tokenizer(0)
        tokens = VolumeTokens(inputs, tokenizer, "sha", ArrayCache(tmp_path))
        assert list(tokens.encode([2, 0], 1, BadVolumes(str, 3))) == [2, 0]
        for index in (2, 0, 1):  # the last is encoded when it is read
            expected = tokenizer.tokenize(inputs.volume(index)[None])[0]
            np.testing.assert_array_equal(tokens.read(index), expected.numpy())
            assert tokens.read(index).dtype == np.uint16

    def test_the_cache_is_used_and_another_tokenizer_or_phantom_is_encoded_anew(self, tmp_path):
        inputs, cache = ModelInputs(PhantomPairs(num=3), PRESET, None), ArrayCache(tmp_path)

        def tokens_of(inputs: ModelInputs, seed: int, sha256: str) -> np.ndarray:
            tokens = VolumeTokens(inputs, make_tokenizer(seed), sha256, cache)
            return np.stack([tokens.read(index) for index in (0, 1)])

        def num_files() -> int:
            return sum(path.is_file() for path in tmp_path.rglob("*"))

        first = tokens_of(inputs, 0, "sha0")
        assert num_files() == 2
        np.testing.assert_array_equal(tokens_of(inputs, 1, "sha0"), first)
        assert num_files() == 2
        assert not np.array_equal(tokens_of(inputs, 1, "sha1"), first)
        assert num_files() == 4
        tokens_of(ModelInputs(PhantomPairs(num=3, seed=1), PRESET, None), 0, "sha0")
        assert num_files() == 6

    def test_a_volume_left_out_or_moved_to_the_other_side_changes_no_others_tokens(self, tmp_path):
        settings = {"tokenizer": make_tokenizer(0), "tokenizer_sha256": "s", "token_cache_dir": str(tmp_path)}
        TransformerData(pairs=PhantomPairs(num=6), preset=PRESET, val_fraction=0.5, **settings).setup()
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
        TransformerData(pairs=PhantomPairs(num=7), preset=PRESET, val_fraction=0.0, **settings).setup()
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
        assert len(before) == 6
        assert len(after) == 7
        assert before.items() <= after.items()

    def test_items_of_the_module(self, tmp_path):
        settings = {"tokenizer": make_tokenizer(0), "tokenizer_sha256": "s", "token_cache_dir": str(tmp_path)}
        data = TransformerData(pairs=PhantomPairs(num=6), preset=PRESET, batch_size=2, **settings)
        data.setup()
        batch = next(iter(data.train_dataloader()))
        assert batch["ids"].shape == (2, 3, 2, 2)
        assert batch["ids"].dtype == torch.int64
        for name, text in zip(batch["name"], batch["text"], strict=True):
            index = [data.inputs.pairs.name(i) for i in range(6)].index(name)
            assert data.inputs.pairs.text(index) == text


class TestSlices:
    @pytest.mark.parametrize("crop", [None, 16, 8])
    def test_both_resolutions_show_the_same_place(self, tmp_path, crop):
        """Without noise, the low-resolution crop is nearly the mean of the high-resolution one."""
        data, _ = make_slices(PhantomPairs(num=2, noise_hu=0.0), tmp_path, crop)
        errors, shuffled = [], []
        for position in range(40):
            item, other = data[position, position % 2], data[position + 40, position % 2]
            side = crop or 32
            assert item["highres"].shape == (1, side, side)
            assert item["lowres"].shape == (1, side // 2, side // 2)
            errors.append((avg_pool2d(item["highres"], 2) - item["lowres"]).square().mean())
            shuffled.append((avg_pool2d(other["highres"], 2) - item["lowres"]).square().mean())
        assert sum(errors) < 0.2 * sum(shuffled)

    def test_a_crop_lies_in_the_whole_slice(self, tmp_path):
        data, _ = make_slices(PhantomPairs(num=1), tmp_path, 8, seed=1)
        volume = data.inputs.make(0, upscaled=True).astype(np.float32) / 1000
        for position in range(10):
            crop = data[position, 0]["highres"][0].numpy()
            windows = np.lib.stride_tricks.sliding_window_view(volume, (1, 8, 8))[:, ::2, ::2, 0]
            assert (np.abs(windows - crop).max(axis=(-1, -2)) < 1e-6).any()

    def test_an_item_depends_on_its_position_alone(self, tmp_path):
        data = [make_slices(PhantomPairs(num=1), tmp_path, 8, seed=seed)[0] for seed in (0, 0, 1)]
        same, again, other = ([one[p, 0]["highres"] for p in range(8)] for one in data)
        assert all(map(torch.equal, same, again))
        assert not all(map(torch.equal, same, other))

    @pytest.mark.parametrize("prob", [0.0, 0.5, 1.0])
    def test_reconstructions_stand_in_as_often_as_asked(self, tmp_path, prob):
        data, reconstructions = make_slices(PhantomPairs(num=1), tmp_path, 8, prob)
        marked = np.full((5, 16, 16), 7, dtype=np.float16)  # no true slice holds 7
        data.inputs.cache.put(reconstructions.key(0), marked)
        rate = np.mean([(data[position, 0]["lowres"] == 7).all().item() for position in range(400)])
        assert abs(rate - prob) <= 3 * np.sqrt(prob * (1 - prob) / 400)

    @pytest.mark.parametrize(
        ("sizes", "settings", "message"),
        [
            ((16, 32), {"crop": 64}, "crop=64"),
            ((16, 32), {"crop": 9}, "crop=9"),
            ((16, 32), {"crop": 0}, "crop=0"),
            ((16, 40), {}, "model.upscaled_size=40"),
            ((16, 32), {"reconstruction_prob": 1.5}, "reconstruction_prob=1.5"),
        ],
    )
    def test_slices_that_cannot_be_cut_are_refused(self, tmp_path, sizes, settings, message):
        preset = PhysicalPreset(num_slices=5, size=sizes[0], upscaled_size=sizes[1])
        needed = {"tokenizer": make_tokenizer(0), "tokenizer_sha256": "s", "cache_dir": str(tmp_path / "none")}
        with pytest.raises(InputError, match=message):
            SuperResData(pairs=PhantomPairs(num=6), preset=preset, **needed, **settings)
        assert not (tmp_path / "none").exists()

    def test_the_module_reconstructs_with_its_tokenizer(self, tmp_path):
        tokenizer, settings = make_tokenizer(0), {"tokenizer_sha256": "s", "cache_dir": str(tmp_path), "batch_size": 2}
        data = SuperResData(pairs=PhantomPairs(num=6), preset=PRESET, tokenizer=tokenizer, crop=16, **settings)
        data.setup()
        batch = next(iter(data.train_dataloader()))
        assert batch["highres"].shape == (2, 1, 16, 16)
        assert batch["lowres"].shape == (2, 1, 8, 8)
        first = data.train_data.indices[0]
        expected = tokenizer(data.inputs.volume(first)[None]).reconstruction[0, 0].detach()
        actual = data.train_data.reconstructions.slices(first, range(5))
        torch.testing.assert_close(actual, expected, atol=2e-3, rtol=1e-3)
