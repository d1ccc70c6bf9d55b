"""Small values that are kept between runs: lines of JSON, each with its checksum."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from generatect.errors import InputError
from generatect.files import atomic_path

Value = TypeVar("Value")
CRC = b'{"crc": "%08x", '


class KeptLines:
    """Values by key in a file that grows by a line each, so that a killed process loses no more than its last one.

    A line that is cut, changed, foreign or of another version is as good as absent, and so is a file that cannot be
    read; of several lines with one key the last counts. Once most lines have been superseded, the file is written anew
    without them.

    Args:
        path: the file; need not be there.
        version: of what the values mean; part of every checksum.
    """

    def __init__(self, path: Path, version: str) -> None:
        self.path, self.version = path, version
        self._num_lines: int | None = None  # not known yet
        self._keys: set[str] = set()

    def read(self, decode: Callable[[Any], Value]) -> dict[str, Value]:
        """The values by key.

        Args:
            decode: makes a value of what JSON gave; where it raises, the line is passed over.
        """
        found = {}
        self._num_lines, self._keys = 0, set()
        for key, line in self._lines():
            self._num_lines += 1
            self._keys.add(key)
            try:
                found[key] = decode(json.loads(line)["value"])
            except (ValueError, TypeError, KeyError, AttributeError):
                found.pop(key, None)
        return found

    def add(self, values: Mapping[str, Any]) -> None:
        """Adds plain values by key, in the place of earlier ones.

        Raises:
            InputError: the file cannot be written.
        """
        if not values:
            return
        if self._num_lines is None:
            self.read(lambda value: value)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                # The line break comes first: what a kill cut short thereby ends.
                file.write(b"\n" + b"".join(self._line(key, value) for key, value in values.items()))
            self._num_lines = (self._num_lines or 0) + len(values)
            self._keys |= set(values)
            if self._num_lines > 2 * len(self._keys):
                self._leave_out_superseded()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); make room, or remove what lies there"
            ) from error

    def _leave_out_superseded(self) -> None:
        living = dict(self._lines())
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in living.values()))
        self._num_lines, self._keys = len(living), set(living)

    def _line(self, key: str, value: Any) -> bytes:
        body = json.dumps({"key": key, "value": value}).encode()
        return CRC % self._checksum(body) + body[1:] + b"\n"

    def _checksum(self, body: bytes) -> int:
        return zlib.crc32(self.version.encode() + b" " + body)

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        """(key, line) of every whole line, in the order of the file."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return
        start = len(CRC % 0)
        for line in content.split(b"\n"):
            body = b"{" + line[start:]
            if line[:start] == CRC % self._checksum(body):
                yield json.loads(body)["key"], line
