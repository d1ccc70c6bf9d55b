"""From a checked mapping with `_target_` to an object."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from generatect.errors import InputError


def build(node: Mapping[str, Any], **objects: Any) -> Any:
    """Calls the node's `_target_` with its arguments, plain values, and with `objects`, which are passed as they are.

    Handing live objects to Hydra would copy them, weights included; a node marked `_partial_` stays a partial.

    Raises:
        InputError: what an object within the node refuses, in its own words.
    """
    try:
        partial = instantiate({**node, "_partial_": True}, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
    return partial if node.get("_partial_") else partial(**objects)
