"""The card of a synthetic dataset: what it is, how it was made, what is in it, what it is not for."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generatect.data.table import LABEL_VALUES
from generatect.synthesis.audited import audited_section
from generatect.synthesis.prompt_tables import label_columns
from generatect.synthesis.understanding import lines_on_length, unknown_labels
from generatect.synthesis.work import WorkItem
from generatect.text.reading import TextRead

Kept = Sequence[tuple[WorkItem, Mapping[str, Any]]]


def dataset_card(folder: Path, kept: Kept, failed: Kept) -> str:
    """The card in Markdown, made of what the sidecars say.

    Args:
        folder: of the dataset, for its name and what an audit left there.
        kept: prompts with the sidecars of their volumes, in the order of the table.
        failed: prompts with the records of their rejections.
    """
    folder = folder.resolve()  # "." has no name
    place = shlex.quote(folder.name)
    return f"""# {folder.name}

**SYNTHETIC: {len(kept)} chest CT volumes that a model made from text. No volume is a patient. Not for medicine.**
{_notices(kept)}
* `NAME.nii.gz` in HU with a true affine, `NAME.json` that says how it was made, `NAME.png` to look at.
  `python -m generatect.reproduce FILE` makes a volume again and compares.
* `table.csv`: volume, patient, text, seed and the columns of the prompts; `manifest.jsonl`: everything, with hashes.

```bash
python -m generatect.train data=folder data.root={place} data.table={place}/table.csv
```

## How it was made

{_made(place, kept)}{_reading(kept)}
## Labels

{_labels(kept)}
## Quality

{_quality(kept, failed)}{audited_section(folder, [sidecar["volume_sha256"] for _, sidecar in kept])}"""


def _notices(kept: Kept) -> str:
    notices = dict.fromkeys(sidecar["notice"] for _, sidecar in kept)
    return "".join(f"\n> {notice}\n" for notice in notices)


def _made(place: str, kept: Kept) -> str:
    if not kept:
        return "No volume passed.\n"
    sidecar = kept[0][1]
    z, y, x = sidecar["shape_zyx"]
    spacing = " × ".join(f"{mm:g}" for mm in sidecar["spacing_mm_zyx"])
    lines = [f"{z} × {y} × {x} voxels of {spacing} mm (z, y, x), preset `{sidecar['preset']}`"]
    lines += [f"weights of stage {stage}: SHA-256 `{value}`" for stage, value in sidecar["weights_sha256"].items()]
    lines += [f"{part}: {_settings(sidecar[part])}" for part in ("tokens", "upscale") if sidecar[part]]
    if sidecar["upscale"] is None:
        lines.append(f"at low resolution; `python -m generatect.upscale input={place}` refines them")
    lines.append("versions: " + _settings(sidecar["versions"]))
    return "".join(f"* {line}.\n" for line in lines)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _reading(kept: Kept) -> str:
    """What of the prompts the model did not read."""
    reads: dict[str, list[TextRead]] = {}
    for _, sidecar in kept:
        for stage, of_stage in sidecar.get("text_read", {}).items():
            reads.setdefault(stage, []).append(TextRead(**of_stage))
    lines = lines_on_length(reads) or ["every prompt was read to its end"] * bool(reads)
    return "".join(f"* {line}.\n" for line in lines)


def _labels(kept: Kept) -> str:
    """How often each label is 1. The prompt says so; whether the volume shows it is another question."""
    prompts = [item.prompt for item, _ in kept]
    columns = [prompt.columns for prompt in prompts]
    rows = []
    for name in label_columns(columns):
        positive = sum(LABEL_VALUES[row[name]] for row in columns)
        cell = name.replace("|", r"\|")
        rows.append(f"| {cell} | {positive} | {positive / len(kept):.0%} |\n")
    if not rows:
        return "The prompts came without labels.\n"
    text = "What the prompts ask for, not what was seen in the volumes.\n\n| label | volumes | share |\n|---|---|---|\n"
    text += "".join(rows)
    if unknown := unknown_labels(prompts, kept[0][1]["notice"]):
        text += f"\nThe model never met {', '.join(unknown)}: the prompts ask for it, no volume can show it.\n"
    return text


def _quality(kept: Kept, failed: Kept) -> str:
    again = Counter(sidecar["attempt"] for _, sidecar in kept)
    first = again.pop(0, 0)
    total = len(kept) + len(failed)
    text = f"{first} of {total} prompts passed the gate at the first attempt, {sum(again.values())} at a later one"
    text = f"{text}; {len(failed)} never did" + (" (`rejected.csv`).\n" if failed else ".\n")
    return text + _agreement(kept)


def _agreement(kept: Kept) -> str:
    """How far a classifier agrees with the labels, where the gate asked one."""
    judged = [sidecar for _, sidecar in kept if "agreement" in sidecar]
    if not judged:
        return ""
    values = [sidecar["agreement"] for sidecar in judged]
    return (
        f"\nA classifier (SHA-256 `{judged[0]['classifier_sha256']}`) agrees with the labels of what passed by "
        f"{sum(values) / len(values):.2f} on average and {min(values):.2f} at least; 1 is full agreement.\n"
    )
