"""What a browser sends, read only as far as it may be."""

import json
from typing import Any

from starlette.requests import Request

from generatect.errors import InputError

MAX_JSON_BYTES = 256_000


class TooLargeError(InputError):
    """More than may be sent."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, refused before it is read where its length is declared, and otherwise as soon as it is too long.

    Raises:
        TooLargeError: more than `max_bytes`.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise TooLargeError(_sentence(max_bytes))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(_sentence(max_bytes))
    return bytes(body)


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        InputError: it is none.
    """
    try:
        content = json.loads(await read_body(request, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("The request is no JSON object.") from error
    if not isinstance(content, dict):
        raise InputError("The request is no JSON object.")
    return content


def _sentence(max_bytes: int) -> str:
    return f"That is more than the {max_bytes / 1e6:.3g} MB that may be sent; open it with browse=FOLDER instead."
