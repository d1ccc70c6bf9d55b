"""Data modules of the stages: order, split, caches, and slices that lie on one another."""

import itertools
import os
import resource

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from generatect.ct.preset import PhysicalPreset
from generatect.data.cache import ArrayCache, CachedArrays
from generatect.data.ctvit_data import CTViTData
from generatect.data.inputs import ModelInputs
from generatect.data.sampler import EndlessShuffle
from generatect.data.split import split_by_patient
from generatect.data.superres_data import SliceDataset, SuperResData
from generatect.data.tokens import encode_tokens
from generatect.data.transformer_data import TransformerData
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT
from generatect.phantom.pairs import PhantomPairs

PRESET = PhysicalPreset(num_slices=5, size=16, upscaled_size=32)


def make_tokenizer(seed: int) -> CTViT:
    torch.manual_seed(seed)
    sizes = {"dim": 16, "codebook_size": 32, "image_size": 16, "patch_size": 8, "slice_patch_size": 2}
    return CTViT(**sizes, spatial_depth=1, temporal_depth=1, dim_head=8, heads=2).eval()


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


class TestCache:
    def test_what_is_made_once_is_read_afterwards(self, tmp_path):
        made = []

        def make() -> np.ndarray:
            made.append(1)
            return np.arange(6, dtype=np.int16).reshape(2, 3)

        cache = ArrayCache(tmp_path)
        for _ in range(3):
            np.testing.assert_array_equal(cache.get(("a", "b"), make), np.arange(6).reshape(2, 3))
        assert len(made) == 1
        assert ("a", "b") in cache
        assert ("ab",) not in cache
        assert ("a", "c") not in cache

    @pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:20], lambda b: b[:-3], lambda b: b"x" * len(b)])
    def test_a_damaged_entry_is_made_again(self, tmp_path, damage):
        cache = ArrayCache(tmp_path)
        cache.get(("a",), lambda: np.ones(50))
        path = cache.path(("a",))
        path.write_bytes(damage(path.read_bytes()))
        np.testing.assert_array_equal(cache.get(("a",), lambda: np.full(50, 2.0)), np.full(50, 2.0))

    def test_a_pickle_is_not_loaded(self, tmp_path):
        cache = ArrayCache(tmp_path)
        cache.path(("a",)).parent.mkdir()
        np.save(cache.path(("a",)), np.array([{"x": 1}], dtype=object), allow_pickle=True)
        np.testing.assert_array_equal(cache.get(("a",), lambda: np.zeros(2)), np.zeros(2))

    def test_a_failed_make_leaves_nothing(self, tmp_path):
        def fail() -> np.ndarray:
            raise InputError("unreadable")

        cache = ArrayCache(tmp_path)
        with pytest.raises(InputError):
            cache.get(("a",), fail)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_more_arrays_than_files_may_be_open(self, tmp_path):
        cache = ArrayCache(tmp_path)
        for number in range(80):
            cache.get((str(number),), lambda number=number: np.full(3, number))
        arrays = CachedArrays(cache, [(str(number),) for number in range(80)])
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, limits[1]))
        try:
            values = [int(array[0]) for array in arrays]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert values == list(range(80))

    def test_an_array_gone_from_the_cache_is_named(self, tmp_path):
        cache = ArrayCache(tmp_path)
        with pytest.raises(InputError, match="is gone"):
            cache.read(("a",))

    def test_the_source_is_asked_once_for_what_a_volume_depends_on(self, tmp_path):
        class Counting(PhantomPairs):
            asked = 0

            def fingerprint(self, index: int) -> str:
                self.asked += 1
                return super().fingerprint(index)

        pairs = Counting(num=1)
        inputs = ModelInputs(pairs, PRESET, ArrayCache(tmp_path))
        for _ in range(3):
            inputs.volume(0), inputs.highres_hu(0)
        assert pairs.asked == 1

    def test_volumes_pass_through_it_within_half_a_hounsfield_unit(self, tmp_path):
        pairs = PhantomPairs(num=1)
        direct = ModelInputs(pairs, PRESET, None).volume(0)
        cached = ModelInputs(pairs, PRESET, ArrayCache(tmp_path)).volume(0)
        assert (direct - cached).abs().max() <= 0.5001 / 1000


class TestTokens:
    def test_they_are_the_tokenizers_own(self, tmp_path):
        inputs = ModelInputs(PhantomPairs(num=3), PRESET, None)
        tokenizer = make_tokenizer(0)
        tokens = encode_tokens(inputs, [2, 0], tokenizer, "sha", ArrayCache(tmp_path), batch_size=1)
        expected = [tokenizer.tokenize(inputs.volume(i)[None])[0] for i in (2, 0)]
        np.testing.assert_array_equal(tokens, torch.stack(expected).numpy())

    def test_the_cache_is_used_and_another_tokenizer_or_phantom_is_encoded_anew(self, tmp_path):
        inputs, cache = ModelInputs(PhantomPairs(num=3), PRESET, None), ArrayCache(tmp_path)

        def num_files() -> int:
            return sum(path.is_file() for path in tmp_path.rglob("*"))

        first = encode_tokens(inputs, [0, 1], make_tokenizer(0), "sha0", cache)
        assert num_files() == 1
        np.testing.assert_array_equal(encode_tokens(inputs, [0, 1], make_tokenizer(1), "sha0", cache), first)
        assert num_files() == 1
        other = encode_tokens(inputs, [0, 1], make_tokenizer(1), "sha1", cache)
        assert num_files() == 2
        assert not np.array_equal(first, other)
        encode_tokens(ModelInputs(PhantomPairs(num=3, seed=1), PRESET, None), [0, 1], make_tokenizer(0), "sha0", cache)
        assert num_files() == 3

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
        inputs = ModelInputs(PhantomPairs(num=2, noise_hu=0.0), PRESET, ArrayCache(tmp_path))
        data = SliceDataset(inputs, [0, 1], [], crop, reconstruction_prob=0.0, seed=0)
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
        inputs = ModelInputs(PhantomPairs(num=1), PRESET, ArrayCache(tmp_path))
        volume = inputs.highres_hu(0)[0].astype(np.float32) / 1000
        data = SliceDataset(inputs, [0], [], 8, 0.0, seed=1)
        for position in range(10):
            crop = data[position, 0]["highres"][0].numpy()
            windows = np.lib.stride_tricks.sliding_window_view(volume, (1, 8, 8))[:, ::2, ::2, 0]
            assert (np.abs(windows - crop).max(axis=(-1, -2)) < 1e-6).any()

    def test_an_item_depends_on_its_position_alone(self, tmp_path):
        inputs = ModelInputs(PhantomPairs(num=1), PRESET, ArrayCache(tmp_path))
        data = [SliceDataset(inputs, [0], [], 8, 0.0, seed=seed) for seed in (0, 0, 1)]
        same, again, other = ([one[p, 0]["highres"] for p in range(8)] for one in data)
        assert all(map(torch.equal, same, again))
        assert not all(map(torch.equal, same, other))

    @pytest.mark.parametrize("prob", [0.0, 0.5, 1.0])
    def test_reconstructions_stand_in_as_often_as_asked(self, tmp_path, prob):
        inputs = ModelInputs(PhantomPairs(num=1), PRESET, ArrayCache(tmp_path))
        marked = np.full((5, 16, 16), 7, dtype=np.float16)  # no true slice holds 7
        data = SliceDataset(inputs, [0], [marked], 8, prob, seed=0)
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
        actual = torch.from_numpy(np.array(data.train_data.reconstructions[0], dtype=np.float32))
        torch.testing.assert_close(actual, expected, atol=2e-3, rtol=1e-3)
