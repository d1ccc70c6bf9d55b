"""Where shards live: a folder (a network drive too), or an object store that LitData has a client for."""

import contextlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder

SCHEMES = ("s3://", "gs://")
INSTALL = "pip install 'generatect[streaming]' and then pip install --no-deps litdata"


@runtime_checkable
class Store(Protocol):
    """Whole files, and parts of them, by name."""

    root: str

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A small file, whose name ends in "index.json"; None where there is none."""
        ...

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """A part of a file; fewer bytes where it ends before."""
        ...

    def put(self, source: Path, name: str) -> None:
        """Writes a file, which is whole or not there."""
        ...


def open_store(root: str, key: str) -> Store:
    """The folder or object store at `root`, which the setting `key` names.

    Raises:
        InputError: a scheme that is not known, or LitData is needed and not installed.
    """
    if root.startswith(SCHEMES):
        return RemoteStore(root.rstrip("/"), key)
    if "://" in root:
        raise InputError(f"{key}={root}: expected a folder, or one of {', '.join(SCHEMES)}")
    return FolderStore(str(Path(root).expanduser()), key)


class FolderStore:
    """A folder.

    Args:
        root: the folder.
        key: the setting that names it, for messages.
    """

    def __init__(self, root: str, key: str) -> None:
        self.root, self.key = root, key

    def read_json(self, name: str) -> dict[str, Any] | None:
        """See `Store`."""
        with self._one_line(name):
            path = Path(self.root, name)
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """See `Store`."""
        with self._one_line(name), open(Path(self.root, name), "rb", buffering=0) as file:
            file.seek(start)
            parts = []
            while num_bytes and (part := file.read(num_bytes)):
                parts.append(part)
                num_bytes -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def put(self, source: Path, name: str) -> None:
        """See `Store`."""
        path = Path(self.root, name)
        writable_folder(path.parent, self.key)
        with self._one_line(name, "written"), atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)

    @contextlib.contextmanager
    def _one_line(self, name: str, done: str = "read") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self.key}={self.root}: {name} cannot be {done} ({error.strerror})") from error
        except ValueError as error:
            raise InputError(f"{self.key}={self.root}: {name} is no JSON; write the shards anew") from error


class RemoteStore:
    """A prefix in an object store, through LitData's clients and their credentials (boto3's own for S3).

    Args:
        root: such as "s3://bucket/prefix".
        key: the setting that names it, for messages.

    Raises:
        InputError: LitData is not installed.
    """

    def __init__(self, root: str, key: str) -> None:
        self.root, self.key = root, key
        self._clients: dict[int, Any] = {}
        import_litdata("litdata.streaming.downloader", f"{key}={root}")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """See `Store`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "index.json")
            try:
                self._client().download_file(f"{self.root}/{name}", str(path))
            except Exception as error:  # each client has errors of its own
                if _says_not_found(error):
                    return None
                raise self._refused(name, "read", error) from error
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise self._refused(name, "read", error) from error

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """See `Store`."""
        try:
            return self._client().download_bytes(f"{self.root}/{name}", start, num_bytes, "")
        except Exception as error:
            raise self._refused(name, "read", error) from error

    def put(self, source: Path, name: str) -> None:
        """See `Store`."""
        providers = import_litdata("litdata.streaming.fs_provider", f"{self.key}={self.root}")
        try:
            providers._get_fs_provider(self.root, _options(self.root)).upload_file(str(source), f"{self.root}/{name}")
        except Exception as error:
            raise self._refused(name, "written", error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    def _client(self) -> Any:
        """This process's own: a connection does not survive a fork."""
        if os.getpid() not in self._clients:
            module = import_litdata("litdata.streaming.downloader", f"{self.key}={self.root}")
            self._clients = {os.getpid(): module.get_downloader(self.root, "", [], _options(self.root))}
        return self._clients[os.getpid()]

    def _refused(self, name: str, done: str, error: Exception) -> InputError:
        reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
        return InputError(f"{self.key}={self.root}: {name} cannot be {done} ({reason}); check address and credentials")


def import_litdata(module: str, purpose: str) -> Any:
    """A module of LitData, which is optional and takes a second to import.

    Raises:
        InputError: it, or something it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{purpose}: needs LitData, and {error.name} is not installed; {INSTALL}") from error


def _options(root: str) -> dict[str, Any]:
    """Options of the client. LitData's own would try an unreachable S3 a thousand times: a run that seems to hang."""
    if not root.startswith("s3://"):
        return {}
    from botocore.config import Config

    return {"config": Config(retries={"max_attempts": 5, "mode": "standard"}, connect_timeout=10, read_timeout=60)}


def _says_not_found(error: Exception) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code") or getattr(error, "code", None)
    return str(code) in ("404", "NoSuchKey")
