"""Shards: the same batches as without them, whatever is killed, damaged or asked of the wrong ones."""

import contextlib
import functools
import json
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn

from generatect.config.quiet import quiet
from generatect.ct.preset import PhysicalPreset, ReleasedPreset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.ctnet_data import CTNetData
from generatect.data.ctvit_data import CTViTData
from generatect.data.module import PairsDataModule
from generatect.data.object_store import FolderStore, open_store
from generatect.data.shard_header import HEADER, INDEX, SIDES, Purpose, describe_preset
from generatect.data.shard_item import DamagedItem, pack_item, unpack_item
from generatect.data.shard_makers import SliceItems, TokenItems, VolumeItems
from generatect.data.shards import write_shards
from generatect.data.streaming import Shards
from generatect.data.superres_data import SuperResData
from generatect.data.transformer_data import TransformerData
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT
from generatect.phantom.findings import LABELS
from generatect.phantom.pairs import PhantomPairs
from generatect.stages.base import Stage

pytest.importorskip("litdata", reason="LitData is optional: it writes shards and reaches object stores")

PRESET = PhysicalPreset(num_slices=5, size=16, upscaled_size=32)
STAGES = ("ctvit", "transformer", "superres")
SETTINGS = {"batch_size": 3, "val_fraction": 0.3, "seed": 1}
NUM = 14


@functools.cache
def tokenizer() -> CTViT:
    torch.manual_seed(0)
    sizes = {"dim": 16, "codebook_size": 32, "image_size": 16, "patch_size": 8, "slice_patch_size": 2}
    return CTViT(**sizes, spatial_depth=1, temporal_depth=1, dim_head=8, heads=2).eval()


def make_module(stage: str, pairs, cache: Path, **changes) -> PairsDataModule:
    """The stage's own data module, over phantoms or over shards of them."""
    cache_dir = None if isinstance(pairs, Shards) and stage != "superres" else str(cache)
    settings = {"pairs": pairs, "preset": PRESET, "cache_dir": cache_dir, **SETTINGS}
    frozen = {"tokenizer": tokenizer(), "tokenizer_sha256": "sha"}
    if stage == "ctvit":
        return CTViTData(**settings | changes)
    if stage == "ctnet":
        return CTNetData(**settings | {"label_names": LABELS[::-1]} | changes)
    if stage == "transformer":
        return TransformerData(**settings | frozen | {"token_cache_dir": str(cache)} | changes)
    return SuperResData(**settings | frozen | {"crop": 16, "reconstruction_prob": 0.5} | changes)


def write(stage: str, root: str, cache: Path, pairs=None, num_per_shard: int = 3, store=None) -> PairsDataModule:
    """Writes phantoms as shards; returns the data module whose split they have."""
    module = make_module(stage, pairs or PhantomPairs(num=NUM), cache)
    pairs, inputs = module.inputs.pairs, module.inputs
    names = tuple(pairs.labels(0)) if stage in ("transformer", "ctnet") else ()
    if stage in ("ctvit", "ctnet"):
        maker, stage = VolumeItems(inputs, bool(names)), "ctvit"
    elif stage == "transformer":
        maker = TokenItems(inputs, tokenizer(), "sha", module.token_cache, True)
    else:
        maker = SliceItems(inputs, tokenizer(), "sha")
    purpose = Purpose(
        stage, describe_preset(PRESET), None if stage == "ctvit" else "sha", maker.items_per_volume, names
    )
    sides = {"train": module.train_indices, "val": module.val_indices}
    bad = BadVolumes(pairs.name, len(pairs))
    write_shards(
        store or open_store(root, "output"), purpose, maker, sides, bad, num_per_shard * maker.bytes_per_volume
    )
    return module


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Function from a stage to (folder of its shards, the data module that they are of)."""

    @functools.cache
    def of(stage: str) -> tuple[str, PairsDataModule]:
        root = tmp_path_factory.mktemp(stage)
        return str(root), write(stage, str(root), tmp_path_factory.mktemp("cache"))

    return of


def open_shards(root: str, cache: Path, **settings) -> Shards:
    return Shards(root=root, cache_dir=str(cache), **settings)


def batches(module: PairsDataModule, count: int) -> list[dict]:
    module.setup()
    return [batch for batch, _ in zip(module.train_dataloader(), range(count), strict=False)]


def assert_same(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, torch.Tensor) else list(value) == list(theirs[key])


class TestItems:
    ITEM = ({"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.float16([0.5])}, {"text": "Größe\n✓", "n": ""})

    def test_they_come_back(self):
        arrays, texts = unpack_item(pack_item(*self.ITEM))
        assert texts == self.ITEM[1]
        assert {name: array.dtype for name, array in arrays.items()} == {"a": np.int16, "b": np.float16}
        np.testing.assert_array_equal(arrays["a"], self.ITEM[0]["a"])

    def test_no_changed_byte_and_no_cut_passes(self):
        data = pack_item(*self.ITEM)
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            for damaged in (bytes(changed), data[:place]):
                with pytest.raises(DamagedItem):
                    unpack_item(damaged)


class TestBatches:
    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_they_are_those_of_training_without_shards(self, written, tmp_path, stage, num_workers):
        root, own = written(stage)
        streamed = make_module(stage, open_shards(root, tmp_path), tmp_path, num_workers=num_workers)
        for ours, theirs in zip(batches(streamed, 8), batches(own, 8), strict=True):  # two passes and a half
            assert_same(ours, theirs)
        val = list(streamed.val_dataloader()), list(own.val_dataloader())
        assert len(val[0]) == len(val[1]) > 0
        for ours, theirs in zip(*val, strict=True):
            assert_same(ours, theirs)

    @pytest.mark.parametrize("stage", ["ctvit", "ctnet"])
    def test_volumes_with_labels_are_for_two_stages(self, written, tmp_path, stage):
        streamed = make_module(stage, open_shards(written("ctnet")[0], tmp_path), tmp_path)
        own = make_module(stage, PhantomPairs(num=NUM), tmp_path / "own")
        for ours, theirs in zip(batches(streamed, 4), batches(own, 4), strict=True):
            assert ("labels" in ours) == (stage == "ctnet")
            assert_same(ours, theirs)

    def test_volumes_without_labels_are_for_one(self, written, tmp_path):
        with pytest.raises(InputError, match="has no label 'Consolidation/right'"):
            make_module("ctnet", open_shards(written("ctvit")[0], tmp_path), tmp_path).setup()

    @pytest.mark.parametrize("stage", STAGES)
    def test_no_patient_is_on_both_sides(self, written, tmp_path, stage):
        shards, pairs = open_shards(written(stage)[0], tmp_path), PhantomPairs(num=NUM)
        patient_of = {pairs.name(index): pairs.patient(index) for index in range(NUM)}
        sides = {"train": set(), "val": set()}
        for index in range(len(shards)):
            sides[shards.split(index)].add(patient_of[shards.name(index)])
        assert len(shards) == NUM
        assert sides["train"]
        assert sides["val"]
        assert not sides["train"] & sides["val"]

    def test_a_source_of_pairs(self, written, tmp_path):
        shards, own = open_shards(written("transformer")[0], tmp_path), written("transformer")[1]
        for index, original in enumerate([*own.train_indices, *own.val_indices]):
            for part in ("name", "text", "labels"):
                assert getattr(shards, part)(index) == getattr(own.inputs.pairs, part)(original)

    def test_validation_items_can_be_fewer(self, written, tmp_path):
        shards = open_shards(written("ctvit")[0], tmp_path)
        assert len(make_module("ctvit", shards, tmp_path, max_val_items=1).val_indices) == 1


class Recorder(Stage):
    """Keeps the names of the samples that it is given, and a checkpoint after the third batch."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(description={"stage": "recorder"}, optimizer=functools.partial(torch.optim.SGD, lr=0.1))
        self.network, self.checkpoint, self.names = nn.Linear(1, 1), checkpoint, []

    def train_on(self, batch: dict, batch_idx: int) -> None:
        self.names.append(list(batch["name"]))
        self.sample_draws(len(batch["name"]), batch_idx)  # as every stage; a checkpoint counts samples by it
        self.descent.descend(self.network(torch.ones(1)).sum(), batch, batch_idx)

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        pass

    def on_train_batch_end(self, outputs: object, batch: dict, batch_idx: int) -> None:
        if batch_idx == 2:
            self.trainer.save_checkpoint(self.checkpoint)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_run_broken_off_in_mid_pass_sees_what_the_whole_run_sees(written, tmp_path, num_workers):
    quiet()
    root, own = written("ctvit")

    def run(resume: Path | None, checkpoint: Path) -> list[list[str]]:
        module = make_module("ctvit", open_shards(root, tmp_path), tmp_path, num_workers=num_workers)
        recorder = Recorder(checkpoint)
        shown = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        limits = {"max_epochs": 1, "limit_train_batches": 9, "val_check_interval": 9, "limit_val_batches": 0}
        trainer = L.Trainer(accelerator="cpu", **limits, **dict.fromkeys(shown, False))
        trainer.fit(recorder, datamodule=module, ckpt_path=resume, weights_only=True)
        return recorder.names

    whole = run(None, tmp_path / "third.ckpt")
    assert len(whole) == 9
    assert run(tmp_path / "third.ckpt", tmp_path / "unused.ckpt") == whole[3:]
    in_order = [name for batch in whole for name in batch]
    num_train = len(own.train_indices)
    for start in range(0, len(in_order) - num_train + 1, num_train):  # each pass has every volume once
        assert len(set(in_order[start : start + num_train])) == num_train


class Failing(FolderStore):
    """A folder whose disk goes away after so many files."""

    def __init__(self, root: str, left: int) -> None:
        super().__init__(root, "output")
        self.left, self.names = left, list[str]()

    def put(self, source: Path, name: str) -> None:
        if not self.left:
            raise InputError("the disk is gone")
        self.left -= 1
        self.names.append(name)
        super().put(source, name)


class Changed(PhantomPairs):
    """One report is another."""

    def text(self, index: int) -> str:
        return "Another report." if index == 0 else super().text(index)


class TestWriting:
    def test_broken_off_anywhere_it_never_looks_finished_and_goes_on(self, tmp_path):
        whole = Failing(str(tmp_path / "whole"), 1000)
        write("ctvit", whole.root, tmp_path / "cache", num_per_shard=6, store=whole)
        for left in range(len(whole.names)):
            store = Failing(str(tmp_path / str(left)), left)
            with pytest.raises(InputError, match="the disk is gone"):
                write("ctvit", store.root, tmp_path / "cache", num_per_shard=6, store=store)
            with pytest.raises(InputError, match=r"no shards there|not finished"):
                open_shards(store.root, tmp_path)
            again = Failing(store.root, 1000)
            write("ctvit", store.root, tmp_path / "cache", num_per_shard=6, store=again)
            assert not {name for name in store.names if "done" in name} & set(again.names)
            for path in Path(whole.root).glob("*/*.bin"):
                assert path.read_bytes() == (Path(store.root) / path.relative_to(whole.root)).read_bytes()
            again, first = (open_shards(root, tmp_path) for root in (store.root, whole.root))
            assert len(again) == NUM
            assert again.content_sha256 == first.content_sha256

    def test_what_has_changed_alone_is_written_again(self, tmp_path):
        root = str(tmp_path / "shards")
        write("ctvit", root, tmp_path / "cache")
        store = Failing(root, 1000)
        write("ctvit", root, tmp_path / "cache", store=store)
        assert not [name for name in store.names if name.endswith(".bin")]
        before = [open_shards(root, tmp_path).fingerprint(index) for index in range(NUM)]
        write("ctvit", root, tmp_path / "cache")
        assert [open_shards(root, tmp_path).fingerprint(index) for index in range(NUM)] == before
        own = write("ctvit", root, tmp_path / "cache", Changed(num=NUM), store=store)
        assert len([name for name in store.names if name.endswith(".bin")]) == 1
        shards = open_shards(root, tmp_path)
        assert not {shards.fingerprint(index) for index in range(NUM)} & set(before), (
            "what was computed of them is stale"
        )
        place = [*own.train_indices, *own.val_indices].index(0)
        assert [index for index in range(NUM) if shards.text(index) == "Another report."] == [place]

    def test_a_record_that_is_damaged_vouches_for_nothing(self, tmp_path):
        root, cache = tmp_path / "shards", tmp_path / "cache"
        write("ctvit", str(root), cache)
        record = root / "train" / "done-0.index.json"
        whole, index = record.read_bytes(), json.loads((root / "train" / "index.json").read_bytes())["chunks"]
        for damaged in (whole.replace(b'"chunk_size": ', b'"chunk_size": 1'), whole[:50], b"\xff" + whole):
            record.write_bytes(damaged)
            store = Failing(str(root), 1000)
            write("ctvit", str(root), cache, store=store)
            assert len([name for name in store.names if name.endswith(".bin")]) == 1
            assert record.read_bytes() == whole
            assert json.loads((root / "train" / "index.json").read_bytes())["chunks"] == index

    def test_a_change_taken_back_is_written_too_though_it_was_broken_off(self, tmp_path):
        root, cache = str(tmp_path / "shards"), tmp_path / "cache"
        write("ctvit", root, cache)
        for left in range(1, 4):  # the header is withdrawn; the note on a shard; the shard is another
            with contextlib.suppress(InputError):
                write("ctvit", root, cache, Changed(num=NUM), store=Failing(root, left))
            write("ctvit", root, cache)
            shards = open_shards(root, tmp_path)
            assert not [index for index in range(NUM) if shards.text(index) == "Another report."]

    def test_shards_of_another_stage_are_not_written_over(self, tmp_path):
        write("ctvit", str(tmp_path), tmp_path / "cache")
        with pytest.raises(InputError, match="holds shards of stage ctvit"):
            write("superres", str(tmp_path), tmp_path / "cache")

    def test_a_bad_volume_is_left_out_and_counted(self, tmp_path):
        class OneBad(PhantomPairs):
            def model_input(self, index, preset, upscaled=False):
                if index == 3:
                    raise InputError("volume 3: cut short")
                return super().model_input(index, preset, upscaled)

        inputs = CTViTData(pairs=OneBad(num=6), preset=PRESET).inputs
        maker, purpose = VolumeItems(inputs), Purpose("ctvit", describe_preset(PRESET), None, 1)
        bad = BadVolumes(inputs.pairs.name, 6, "skip", str(tmp_path / "skipped.csv"))
        sides = {"train": [0, 1, 2, 3], "val": [4, 5]}
        store = open_store(str(tmp_path / "s"), "output")
        header = write_shards(store, purpose, maker, sides, bad, 2 * maker.bytes_per_volume, num_workers=1)
        assert [header["sides"][side]["volumes"] for side in SIDES] == [3, 2]
        assert header["sides"]["train"]["left_out"] == 1
        assert inputs.pairs.name(3) in (tmp_path / "skipped.csv").read_text()
        shards = open_shards(str(tmp_path / "s"), tmp_path)
        assert [shards.name(index) for index in range(5)] == [inputs.pairs.name(index) for index in (0, 1, 2, 4, 5)]

    def test_litdata_itself_reads_them_and_no_pickle_is_in_them(self, written, tmp_path):
        from litdata import StreamingDataset

        root, _ = written("ctvit")
        shards = open_shards(root, tmp_path)
        for side in SIDES:
            assert json.loads(Path(root, side, INDEX).read_text())["config"]["data_format"] == ["bytes"]
        items = [unpack_item(bytes(item)) for item in StreamingDataset(str(Path(root, "train")))]
        assert [texts["name"] for _, texts in items] == [shards.name(index) for index in range(shards.num_train)]


def _message(shards: Shards, index: int) -> str:
    with pytest.raises(InputError) as caught:
        shards.text(index)
    return str(caught.value)


class TestRefusals:
    @pytest.mark.parametrize("stage", STAGES)
    def test_shards_for_another_training(self, written, tmp_path, stage):
        shards = open_shards(written(stage)[0], tmp_path)
        for other in STAGES:
            if other != stage:
                with pytest.raises(InputError, match=f"hold stage {stage}, this training needs stage {other}"):
                    make_module(other, shards, tmp_path).setup()
        wider = PhysicalPreset(num_slices=5, size=16, upscaled_size=32, fov_mm_zyx=(300.0, 300.0, 300.0))
        with pytest.raises(InputError, match="hold preset grid"):
            make_module(stage, shards, tmp_path, preset=wider).setup()
        released = ReleasedPreset(num_slices=5, size=16, upscaled_size=32)
        with pytest.raises(InputError, match="hold preset name physical"):
            make_module(stage, shards, tmp_path, preset=released).setup()
        if stage != "ctvit":
            with pytest.raises(InputError, match="what the tokenizer sha… made, this training needs other…"):
                make_module(stage, shards, tmp_path, tokenizer_sha256="other").setup()

    def test_what_is_no_shards(self, tmp_path):
        with pytest.raises(InputError, match=r"no shards there \(generatect.index.json is missing\)"):
            open_shards(str(tmp_path), tmp_path)
        with pytest.raises(InputError, match=r"data.root=ftp://there: expected a folder, or one of s3://, gs://"):
            open_shards("ftp://there", tmp_path)
        (tmp_path / HEADER).write_text("{")
        with pytest.raises(InputError, match="is no JSON"):
            open_shards(str(tmp_path), tmp_path)
        (tmp_path / HEADER).write_text('{"format": 99}')
        with pytest.raises(InputError, match="shards of format 99, expected 1"):
            open_shards(str(tmp_path), tmp_path)

    def test_an_index_of_another_writing(self, tmp_path):
        write("ctvit", str(tmp_path / "s"), tmp_path / "cache")
        index = tmp_path / "s" / "val" / INDEX
        index.write_text(index.read_text().replace("chunk-0-0.bin", "../secret.bin"))
        with pytest.raises(InputError, match=r"val/index.json does not belong to generatect.index.json"):
            open_shards(str(tmp_path / "s"), tmp_path)

    def test_no_damage_passes_for_data(self, tmp_path):
        write("ctvit", str(tmp_path / "s"), tmp_path / "cache")
        path = tmp_path / "s" / "train" / "chunk-0-0.bin"
        sound = path.read_bytes()
        expected = [open_shards(str(tmp_path / "s"), tmp_path)._item(index) for index in range(3)]
        random = np.random.default_rng(0)
        for place in [*range(40), *random.integers(40, len(sound), 60)]:
            changed = bytearray(sound)
            changed[place] ^= 1 << int(random.integers(8))
            for damaged in (bytes(changed), sound[:place]):
                path.write_bytes(damaged)
                shards, messages = open_shards(str(tmp_path / "s"), tmp_path), []
                for index in range(3):
                    with contextlib.suppress(InputError):
                        arrays, texts = shards._item(index)
                        np.testing.assert_array_equal(arrays["hu"], expected[index][0]["hu"])
                        assert texts == expected[index][1]
                        continue
                    messages.append(_message(shards, index))
                assert messages
                assert all("chunk-0-0.bin" in message and "\n" not in message for message in messages)

    def test_without_litdata_one_line_says_what_to_install(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "litdata", None)
        monkeypatch.setitem(sys.modules, "litdata.streaming.downloader", None)
        with pytest.raises(InputError, match=r"data.root=s3://b/p: needs LitData, .* pip install"):
            open_shards("s3://b/p", tmp_path)


class TestObjectStore:
    @pytest.fixture
    def s3(self, monkeypatch, tmp_path):
        pytest.importorskip("moto", reason="the S3 server of these tests is moto's")
        from tests.data.s3_server import LocalS3

        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        server = LocalS3()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        server.create("bucket")
        yield server
        server.close()

    @pytest.mark.parametrize("max_cache_gb", [0.0, 4e-5, 1.0])  # nothing, a shard or so, everything
    def test_batches_from_there_are_the_same(self, s3, tmp_path, max_cache_gb):
        own = write("ctvit", "s3://bucket/a prefix", tmp_path / "cache")
        shards = open_shards("s3://bucket/a prefix", tmp_path / "kept", max_cache_gb=max_cache_gb)
        streamed = make_module("ctvit", shards, tmp_path, num_workers=2 if max_cache_gb == 1 else 0)
        for ours, theirs in zip(batches(streamed, 8), batches(own, 8), strict=True):
            assert_same(ours, theirs)
        kept = sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*.bin"))
        sent = sum(size for name, size in s3.sizes("bucket").items() if name.endswith(".bin"))
        assert kept <= max_cache_gb * 1e9
        assert kept > 0 or not max_cache_gb
        assert kept == sent or max_cache_gb != 1 or len(own.val_indices)

    def test_an_item_is_one_request_and_what_is_kept_is_none(self, s3, tmp_path):
        write("superres", "s3://bucket/p", tmp_path / "cache")
        for max_cache_gb, expected in ((0.0, 10), (1.0, 0)):
            shards = open_shards("s3://bucket/p", tmp_path / "kept", max_cache_gb=max_cache_gb)
            for index in range(shards.num_train):
                shards.slice_of(index, 0, "lowres")  # tables of offsets, or whole shards
            s3.requests.clear()
            for position in range(10):
                for name in ("highres", "lowres", "reconstruction"):
                    shards.slice_of(position % shards.num_train, 1 + position // shards.num_train, name)
            assert len(s3.requests) == expected
        assert all("/generatect.index.json" not in line for line in s3.requests)

    def test_what_is_not_there_and_what_cannot_be_reached(self, s3, tmp_path):
        with pytest.raises(InputError, match="no shards there"):
            open_shards("s3://bucket/p", tmp_path)
        s3.close()
        with pytest.raises(InputError, match=r"data.root=s3://bucket/p: .* cannot be read .*; check address") as caught:
            open_shards("s3://bucket/p", tmp_path)
        assert "\n" not in str(caught.value)


def test_the_commands(command, tmp_path):
    """Written by `shard`, trained from by `train`; broken off and resumed, it ends with the same weights."""
    small = ("stage=ctvit", "model=tiny", f"cache_dir={tmp_path / 'cache'}")
    shards = tmp_path / "shards"
    ended = command("shard", *small, "data.pairs.num=20", "workers=1", f"output={shards}")
    assert ended.code == 0, ended.err
    assert "train: 1" in ended.out
    quick = (*small, "trainer.accelerator=cpu", "stage.datamodule.batch_size=2", "~callbacks.previews", "val_every=4")
    streamed = ("data=streamed", f"data.root={shards}", "callbacks.latest.every=3")

    def train(name: str, *settings: str) -> dict:
        ended = command("train", *quick, *settings, "steps=4", f"output={tmp_path / name}")
        assert ended.code == 0, ended.err
        return torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"]

    whole = train("whole", *streamed, f"callbacks.latest.path={tmp_path / 'third.ckpt'}")
    resumed = train("resumed", *streamed, f"resume={tmp_path / 'third.ckpt'}", "stage.datamodule.num_workers=2")
    unsharded = train("unsharded", "data.pairs.num=20", f"data.cache_dir={tmp_path / 'cache'}")
    for other in (resumed, unsharded):
        assert all(torch.equal(value, other[key]) for key, value in whole.items())
    ended = command("train", *quick, *streamed, "stage=superres", "steps=1", f"output={tmp_path / 'o'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1


def test_litdata_comes_quietly():
    """Imported, it neither says anything nor calls anybody."""
    code = (
        "import socket, threading\n"
        "def refuse(*_): raise SystemExit('connects')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
        "import litdata.streaming.writer, litdata.streaming.downloader\n"
        "assert threading.active_count() == 1\n"
    )
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
