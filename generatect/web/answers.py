"""What is sent as JSON: whatever a file said, a browser can read it."""

import json
import math
from typing import Any

from starlette.responses import JSONResponse


class Answer(JSONResponse):
    """JSON that is always valid: numbers that it lacks are null, characters that it lacks are spelled by escapes."""

    def render(self, content: Any) -> bytes:
        """The content as UTF-8."""
        return json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def plain(value: Any, max_depth: int = 100) -> Any:
    """What Python read from JSON or a file system, as JSON can say it.

    Args:
        value: of strings, numbers, None, lists, tuples and dictionaries.
        max_depth: how deeply they may be nested.

    Raises:
        ValueError: they are nested more deeply.
    """
    if max_depth < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain(key): plain(item, max_depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, max_depth - 1) for item in value]
    return value
