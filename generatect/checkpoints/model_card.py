"""The README.md of a model: what it is, how to use it, what it is not for."""

from collections.abc import Mapping
from typing import Any

# What the Hub reads. A licence is for the publisher to state: no file of ours records one.
FRONT_MATTER = """---
library_name: generatect
pipeline_tag: text-to-3d
tags:
- computed-tomography
- chest-ct
- medical-imaging
- synthetic-data
- safetensors
---"""


def model_card(config: Mapping[str, Any], name: str) -> str:
    """The card in Markdown, with the lines at its top that the Hub reads.

    Args:
        config: what `write_model_folder` writes as `config.json`.
        name: what users write behind `weights=`: ORG/NAME, or the folder.
    """
    notice = (config["notice"] or "No notice is recorded in these files").rstrip(".")
    rows = [
        f"| `{stage['file']}` | {stage['values'] / 1e6:.2f} M × {stage['dtype']} | {stage['bytes'] / 1e6:.1f} MB | "
        f"`{stage['sha256']}` |"
        for stage in config["stages"].values()
    ]
    versions = ", ".join(f"{library} {version}" for library, version in config["versions"].items())
    return f"""{FRONT_MATTER}

# {name.rpartition("/")[2]}

From a radiology report to a 3-D chest CT: the three stages of a [GenerateCT](https://arxiv.org/abs/2305.16037) model,
for the Python package generatect.

**Everything this model makes is SYNTHETIC. It is not a medical device, and neither it nor anything it makes is for
medicine.**

## Use

```bash
python -m generatect.generate prompt="Large right pleural effusion." weights={name} output=outputs/generated
python -m generatect.reconstruct input=scan.nii.gz weights={name} output=outputs/reconstructed
```

```python
from generatect.pipeline import TextToCT

model = TextToCT.from_pretrained("{name}")
```

## Files

| file | values | size | SHA-256 |
|---|---|---|---|
{chr(10).join(rows)}

* Preset: {_preset(config["stages"]["ctvit"]["description"]["preset"])}.
* Text encoder: {_encoders(config["stages"])}.
* Written by {versions}. `config.json` describes every network.

## Notice and licence

{notice}. Whoever publishes these weights states their licence: `license:` at the top of this file.
"""


def _preset(preset: Mapping[str, Any]) -> str:
    name, num_slices, size, upscaled_size = (preset[key] for key in ("name", "num_slices", "size", "upscaled_size"))
    field = " × ".join(f"{edge:g}" for edge in preset.get("fov_mm_zyx", ())) or "of nominal"
    return f"`{name}`, {num_slices} slices of {size}² pixels, {upscaled_size}² upscaled; field of view {field} mm"


def _encoders(stages: Mapping[str, Any]) -> str:
    encoders = [stages[stage]["description"]["text"]["encoder"] for stage in ("transformer", "superres")]
    names = [f"`{encoder.get('name_or_path', encoder['kind'])}`" for encoder in encoders]
    return " and ".join(dict.fromkeys(names))
