"""From a checked mapping with `_target_` to an object."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate


def build(node: Mapping[str, Any], **objects: Any) -> Any:
    """Calls the node's `_target_` with its arguments, plain values, and with `objects`, which are passed as they are.

    Handing live objects to Hydra would copy them, weights included; a node marked `_partial_` stays a partial.
    """
    partial = instantiate({**node, "_partial_": True}, _convert_="all")
    return partial if node.get("_partial_") else partial(**objects)
