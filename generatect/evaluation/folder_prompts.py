"""What lies beside volumes and says how they came to be: sidecars and tables of prompts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generatect.ct.volume_files import volume_name
from generatect.data.rows import read_rows
from generatect.data.table import given_text
from generatect.errors import InputError
from generatect.synthesis.kept import REJECTED
from generatect.synthesis.manifest import MANIFEST, read_manifest

TABLES = ("reports.csv", "prompts.csv", "table.csv")
"""Tables that may lie beside the volumes: what `generatect.phantom` writes, and what others may."""
VOLUME_COLUMNS, TEXT_COLUMNS = ("volume", "name", "names"), ("text", "prompt", "text_prompts")


def read_sidecars(folder: Path) -> dict[str, dict[str, Any]]:
    """Name → content of every `NAME.json` in a folder that describes a volume.

    Raises:
        InputError: one cannot be read.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(REJECTED):  # says why there is no volume
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as JSON; expected the sidecar of a volume, or remove it"
            ) from error
        if isinstance(content, dict) and ("prompt" in content or "weights_sha256" in content):
            found[volume_name(path.stem)] = content
    return found


def gather_folder_prompts(folder: Path, sidecars: Mapping[str, Mapping[str, Any]], names: set[str]) -> dict[str, str]:
    """Name → prompt, from sidecars and from the first of `TABLES` that is there; a sidecar goes before a table.

    Args:
        folder: of the volumes.
        sidecars: what `read_sidecars` found.
        names: of the volumes.

    Raises:
        InputError: a prompt without its volume, or a table without the columns.
    """
    prompts = {}
    for table in TABLES:
        if (folder / table).is_file():
            prompts = _of_table(folder / table, names)
            break
    for name, sidecar in sidecars.items():
        if name not in names:
            raise InputError(
                f"{folder / name}.json: describes a volume that is not there; remove it, or put {name}.nii.gz back"
            )
        if isinstance(text := sidecar.get("prompt"), str) and given_text(text):
            prompts[name] = given_text(text)
    return prompts


def require_listed(folder: Path, names: set[str], where: str) -> None:
    """Refuses volumes of no row of the dataset that `generate` finished in the folder: they would be counted with it.

    Args:
        folder: of the volumes.
        names: of the volumes.
        where: the setting and its value, for messages.

    Raises:
        InputError: naming the first.
    """
    if not (folder / MANIFEST).is_file():
        return
    listed = {volume_name(str(line.get("volume", ""))) for line in read_manifest(folder)}
    if others := sorted(names - listed):
        raise InputError(
            f"{where}: {len(others)} of {len(names)} volumes are not in its {MANIFEST}, first {others[0]}; finish the "
            "dataset with the command that made it, or move them away"
        )


def one_set_of_weights(sidecars: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, str] | None:
    """Stage → hash of the weights that made the volumes; None where no sidecar says it.

    Raises:
        InputError: two volumes were made by different weights.
    """
    first: tuple[str, dict[str, str]] | None = None
    for name, sidecar in sidecars.items():
        weights = sidecar.get("weights_sha256")
        if not isinstance(weights, dict):
            continue
        if first is None:
            first = name, weights
        elif first[1] != weights:
            raise InputError(
                f"{where}: {first[0]} and {name} were made by different weights; evaluate one model at a time"
            )
    return first[1] if first else None


def _of_table(path: Path, names: set[str]) -> dict[str, str]:
    header, rows = read_rows(path, "a table with columns 'volume' and 'text'")
    columns = {name.lower(): name for name in header}
    volume = next((columns[name] for name in VOLUME_COLUMNS if name in columns), None)
    text = next((columns[name] for name in TEXT_COLUMNS if name in columns), None)
    if volume is None or text is None:
        raise InputError(
            f"{path}: no columns 'volume' and 'text' among {', '.join(header)}; name them so, or move it away"
        )
    prompts = {}
    for number, row in enumerate(rows, start=1):
        name = volume_name(row[volume])
        if name not in names:
            raise InputError(
                f"{path} row {number}: a prompt for {name}, of which there is no volume; remove the row or add it"
            )
        if name in prompts:
            raise InputError(f"{path} row {number}: {name} has a prompt already; expected one row for each volume")
        prompts[name] = given_text(row[text])
    return {name: prompt for name, prompt in prompts.items() if prompt}
