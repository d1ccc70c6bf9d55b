"""`python -m generatect.shard stage=… data=… output=DIR|s3://…`: prepared data in shards, to be read from anywhere."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import read_stage_of
from generatect.config.build import build
from generatect.config.command import run_command
from generatect.data.cache import ArrayCache
from generatect.data.inspection.gate import refuse_bad
from generatect.data.module import PairsDataModule
from generatect.data.object_store import FolderStore, Store, import_litdata, open_store
from generatect.data.pairs import Pairs
from generatect.data.processes import num_processes
from generatect.data.shard_header import Purpose, describe_preset
from generatect.data.shard_makers import ItemMaker, SliceItems, TokenItems, VolumeItems
from generatect.data.shards import write_shards
from generatect.errors import InputError
from generatect.files import require_space, writable_folder
from generatect.pipeline import pick_device
from generatect.progress import bars, size

WORKER_BYTES = 3e9
"""Memory that reading and resampling a large scan takes."""


def shard(
    *,
    stage: dict[str, Any],
    model: dict[str, Any],
    preset: dict[str, Any],
    data: dict[str, Any],
    tokenizer: str | None,
    output: str,
    seed: int,
    shard_mb: float,
    workers: int | str,
    device: str,
    cache_dir: str,
) -> None:
    """Writes what `stage` trains on, both sides of the split, as shards; what is there already stays.

    Args:
        stage: name and data module, whose split and treatment of bad volumes are taken.
        model: sizes of volumes.
        preset: how a volume comes onto the model's grid; a later stage takes its tokenizer's.
        data: source of pairs of volume and report.
        tokenizer: checkpoint of stage `ctvit`; needed by the later stages.
        output: folder or URL.
        seed: of the split.
        shard_mb: about how large a shard shall be.
        workers: processes that read volumes; "auto" for as many as cores and memory allow.
        device: where the tokenizer runs.
        cache_dir: folder of computed arrays, which are taken from there.

    Raises:
        InputError: whatever of this cannot be used.
    """
    name = stage["name"]
    if shard_mb <= 0:
        raise InputError(f"shard_mb={shard_mb}: expected more than 0")
    num_workers = num_processes(workers, WORKER_BYTES)
    num_workers = num_workers if num_workers > 1 else 0  # one reads in this process
    store = open_store(output, "output")
    import_litdata("litdata.streaming.writer", f"output={output}")
    if isinstance(store, FolderStore):
        writable_folder(store.root)
    pairs = build(data["pairs"])
    objects = _tokenizer(name, tokenizer, pick_device(device))
    built = objects.pop("preset") if objects else build(preset)
    node = {**stage["datamodule"], "max_val_items": len(pairs), **_skipped_file(stage["datamodule"], store, cache_dir)}
    label_names = _label_names(pairs) if name in ("transformer", "ctnet") else ()
    if name == "ctnet":
        if not label_names:
            raise InputError("stage 'ctnet': not every volume has labels, or not the same; it learns nothing without")
        objects["label_names"] = label_names
    module = build(node, pairs=pairs, preset=built, seed=seed, **objects)
    sides = {"train": module.train_indices, "val": module.val_indices}
    doctor, on_bad = data.get("doctor", "ignore"), data.get("on_bad", "raise")
    refuse_bad(pairs, *sides.values(), doctor=doctor, on_bad=on_bad, cache_dir=cache_dir)
    module.bad.start()
    maker = _maker(name, module, bool(label_names))
    purpose = Purpose(
        stage="ctvit" if name == "ctnet" else name,  # whole volumes, which either stage reads
        preset=describe_preset(built),
        tokenizer_sha256=objects.get("tokenizer_sha256"),
        items_per_volume=maker.items_per_volume,
        label_names=label_names,
        notice=getattr(pairs, "notice", None),
    )
    num_volumes = len(sides["train"]) + len(sides["val"])
    room = num_volumes * maker.bytes_per_volume
    print(f"{num_volumes} volumes, about {size(room)}, into {output}")
    if isinstance(store, FolderStore):
        require_space(Path(store.root, "shards"), room - _size_of(Path(store.root)))
    with bars() as show:
        header = write_shards(
            store, purpose, maker, sides, module.bad, int(shard_mb * 1e6), num_workers if num_workers > 1 else 0, show
        )
    for side, entry in header["sides"].items():
        left_out = f", {entry['left_out']} left out, see {module.bad.file}" if entry["left_out"] else ""
        print(f"wrote {output} {side}: {entry['volumes']} volumes, {size(entry['bytes'])}{left_out}")


def _tokenizer(stage: str, path: str | None, device: torch.device) -> dict[str, Any]:
    """Tokenizer, its hash and its preset, for a stage that has one before it."""
    if stage in ("ctvit", "ctnet"):
        return {}
    if path is None:
        raise InputError(f"tokenizer: stage '{stage}' needs the checkpoint of stage 'ctvit'; add tokenizer=FILE")
    file = read_stage_of(path, "ctvit", "tokenizer")
    network = rebuild_network(file, "ctvit").to(device)
    return {"tokenizer": network, "tokenizer_sha256": file.sha256, "preset": rebuild_preset(file)}


def _maker(stage: str, module: PairsDataModule, with_labels: bool) -> ItemMaker:
    inputs = module.inputs
    if stage in ("ctvit", "ctnet"):
        return VolumeItems(inputs, with_labels)
    if stage == "superres":
        return SliceItems(inputs, module.tokenizer, module.tokenizer_sha256)  # type: ignore[arg-type]
    cache: ArrayCache = module.token_cache  # type: ignore[assignment]
    return TokenItems(inputs, module.tokenizer, module.tokenizer_sha256, cache, with_labels)  # type: ignore[arg-type]


def _label_names(pairs: Pairs) -> tuple[str, ...]:
    """Names of the labels that every pair has; empty, and said, where only some have them."""
    found = {tuple(pairs.labels(index) or ()) for index in range(len(pairs))}
    if len(found) > 1:
        print("labels are left out: not every volume has them, or not the same")
    return found.pop() if len(found) == 1 else ()


def _skipped_file(node: dict[str, Any], store: Store, cache_dir: str) -> dict[str, str]:
    """Where to list volumes left out: beside the shards, or in the cache where these are in an object store."""
    if isinstance(store, FolderStore):
        return {"skipped_file": str(Path(store.root, "skipped.csv"))}
    name = hashlib.sha256(store.root.encode()).hexdigest()[:16]
    return {"skipped_file": str(Path(cache_dir).expanduser() / "shards" / f"skipped-{name}.csv")}


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_command("shard", shard)
