"""What a server has been sent already and cannot give back."""

import json
import os
from pathlib import Path
from typing import Any

from generatect.files import naming


class Sent:
    """The last step of each metric, and the number of rows, kept in a file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: dict[str, int] = {}
        self.num_rows = 0

    def remember(self) -> None:
        """Reads what earlier starts of the run have sent; nothing where the file is not there or damaged."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.steps, self.num_rows = dict(content["steps"]), int(content["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            self.steps, self.num_rows = {}, 0

    def without_old(self, values: dict[str, Any], step: int) -> dict[str, Any]:
        """Those of `values` that have not been sent at `step` or behind it."""
        return {key: value for key, value in values.items() if self.steps.get(key, 0) < step}

    def note(self, values: dict[str, Any], step: int) -> None:
        """One more row."""
        self.steps |= dict.fromkeys(values, step)
        self.num_rows += 1
        temporary = self.path.with_suffix(".part")
        with naming(self.path):
            temporary.write_text(json.dumps({"rows": self.num_rows, "steps": self.steps}), encoding="utf-8")
            os.replace(temporary, self.path)
