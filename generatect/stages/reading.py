"""Whether a stage reads the reports that it trains on to their end."""

from collections.abc import Mapping
from typing import Any

from generatect.data.module import PairsDataModule
from generatect.text.conditioner import TextConditioner
from generatect.text.reading import advise, describe_cut


def line_on_reports(module: Mapping[str, Any], data: PairsDataModule) -> str | None:
    """How many reports are longer than is read, and what to set; None where all are read whole, or none is read.

    Streamed reports are not counted: each would have to be fetched with its volume.

    Args:
        module: arguments of the stage's Lightning module.
        data: pairs of both sides.
    """
    text, pairs = module.get("text"), data.inputs.pairs
    if not isinstance(text, TextConditioner) or hasattr(pairs, "dataset"):
        return None
    limit = module["unet"].text.max_tokens if "unet" in module else None
    reads = text.reads([pairs.text(index) for index in (*data.train_indices, *data.val_indices)], limit)
    line = describe_cut(reads, "reports")
    return line and f"{line}: their ends are not learned; {advise(reads)}"
