"""Low-resolution volumes to refine: generated ones with their tokens, and scans that are brought down to the grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from generatect.ct.volume_files import without_ending
from generatect.data.prompts import Prompt
from generatect.data.rows import read_rows
from generatect.data.scans import find_volumes
from generatect.data.table import given_text
from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.sidecar import TOKENS, read_token_ids
from generatect.synthesis.dataset import OWN_COLUMNS, TABLE
from generatect.synthesis.kept import read_record
from generatect.synthesis.manifest import MANIFEST
from generatect.synthesis.work import NUM_SEEDS, WorkItem
from generatect.text.prompt import require_text

_TYPES = {"prompt": str, "seed": int, "weights_sha256": dict, "tokens": (dict, NoneType)}
"""Of what is read in a sidecar."""
VOLUME_COLUMNS, TEXT_COLUMNS = ("volume", "name", "names"), ("text", "prompt", "text_prompts")


@dataclass(frozen=True)
class Source:
    """A volume to refine.

    Attributes:
        item: prompt, name and seed of the refined volume.
        path: a NIfTI file, or the folder of a DICOM series.
        sidecar: what says how a generated volume came to be; None of a scan.
        tokens: file of the tokens that the volume was decoded from, as the sidecar vouches; None: its voxels are read.
    """

    item: WorkItem
    path: Path
    sidecar: Mapping[str, Any] | None
    tokens: Path | None


def gather_sources(path: Path, prompt: str | None, table: Path | None, seed: int | None) -> list[Source]:
    """The volumes of a command, with a prompt and a seed for each.

    Prompts are, in this order, `prompt`, the table's, the sidecars'. Columns of the table come along; a dataset that
    `generate` finished brings its own.

    Args:
        path: a volume, a folder of them, or the folder of one DICOM series.
        prompt: for all of them.
        table: CSV or .xlsx with a row for each.
        seed: of the first volume, the next ones count up; None: generated ones keep theirs, scans count up from 0.

    Raises:
        InputError: no volume, one without a prompt or whose sidecar describes another file, or an unusable table.
    """
    if prompt is not None and table is not None:
        raise InputError("prompt: give either prompt= for all volumes, or table=")
    found = dict((name, place) for place, name in find_volumes(path))
    own = path / TABLE if path.is_dir() and (path / MANIFEST).is_file() else None
    rows = _read_table(table or own) if table or own else {}
    if unknown := [name for name in rows if name not in found]:
        raise InputError(f"{table or own}: a row for {unknown[0]}, of which there is no volume in {path}")
    names = [*rows, *(name for name in found if name not in rows)]
    sources = list[Source]()
    for number, name in enumerate(names):
        place = found[name]
        sidecar = _sidecar_of(place)
        row = rows.get(name, Prompt(name, ""))
        said = prompt or row.text or str((sidecar or {}).get("prompt") or "")
        require_text(said, "prompt" if said == prompt else f"{place}: its prompt")
        text = given_text(said)
        if not text:
            raise InputError(f"{place}: no prompt for it; give prompt= for all, or table= with a row for each")
        first = seed if seed is not None else (sidecar or {}).get("seed", number) - number
        item = WorkItem(Prompt(name, text, row.columns), number, (first + number) % NUM_SEEDS)
        tokens = _tokens_of(place, sidecar)
        sources.append(Source(item, place, sidecar, tokens))
    return sources


def say_what_differs(sources: list[Source]) -> list[str]:
    """Lines on sidecars that name another prompt or seed than is asked for, and on missing tokens."""
    generated = [source for source in sources if source.sidecar is not None]
    others = {
        "prompt": [source for source in generated if source.sidecar["prompt"] != source.item.prompt.text],
        "seed": [source for source in generated if source.sidecar["seed"] != source.item.seed],
    }
    lines = [
        f"{len(found)} of {len(sources)} volumes were generated with another {what}, first "
        f"{found[0].item.prompt.name}; their slices are refined with the {what} given here"
        for what, found in others.items()
        if found
    ]
    if lost := [source for source in generated if source.tokens is None]:
        lines.append(
            f"{len(lost)} of {len(sources)} generated volumes have no tokens beside them, first {lost[0].path.name}: "
            "refined from their HU, which are rounded"
        )
    return lines


def _sidecar_of(path: Path) -> dict[str, Any] | None:
    """What says that a volume was generated.

    Raises:
        InputError: the volume is another one than its sidecar describes, or the sidecar is not as `generate` writes it.
    """
    if path.is_dir():
        return None
    sidecar = read_record(_beside(path, ".json"))
    if sidecar is None or not {"prompt", "seed", "volume_sha256"} <= sidecar.keys():
        return None
    if sidecar["volume_sha256"] != sha256_of_file(path):
        raise InputError(
            f"{path}: was changed after it was made, by the hash in its .json; make it again, or remove the .json to "
            "refine it as it is"
        )
    for key, kind in _TYPES.items():
        if key in sidecar and not isinstance(sidecar[key], kind):
            raise InputError(
                f"{path}: in its .json {key} is not what generate writes there; make it again, or remove the .json to "
                "refine it as it is"
            )
    return sidecar


def _tokens_of(path: Path, sidecar: Mapping[str, Any] | None) -> Path | None:
    tokens = _beside(path, TOKENS)
    known = sidecar is not None and {"token_ids_sha256", "tokens", "weights_sha256"} <= sidecar.keys()
    return tokens if known and read_token_ids(tokens, sidecar["token_ids_sha256"]) is not None else None


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(without_ending(path.name) + ending)


def _read_table(path: Path) -> dict[str, Prompt]:
    """Name → prompt, of a table of prompts or of a dataset."""
    header, rows = read_rows(path, "a table with columns 'volume' and 'text'")
    columns = {name.lower(): name for name in reversed(header)}
    volume = next((columns[name] for name in VOLUME_COLUMNS if name in columns), None)
    text = next((columns[name] for name in TEXT_COLUMNS if name in columns), None)
    if volume is None or text is None:
        raise InputError(f"{path}: no columns 'volume' and 'text' among {', '.join(header)}; name them so")
    prompts = {}
    for number, row in enumerate(rows, start=1):
        name = without_ending(row[volume])
        if not name or name in prompts:
            raise InputError(f"{path} row {number}: volume {name!r} is empty or named twice; expected one row for each")
        others = {key: cell for key, cell in row.items() if key not in (volume, text, *OWN_COLUMNS)}
        prompts[name] = Prompt(name, given_text(row[text]), others)
    return prompts
