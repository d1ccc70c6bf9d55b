"""A Hugging Face Hub on this machine: the paths of its HTTP interface that fetching and sending a model need."""

import base64
import hashlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import yaml

CHUNK = 1 << 20


class LocalHub:
    """Serves `repos` on 127.0.0.1 until it is closed.

    Attributes:
        repos: content of every repository, by its name and the path in it.
        private: what `create_repo` asked for, by name.
        asked: the path of every request.
        sent: (path, first byte) of every file that was begun to be sent.
        cut_at: breaks the connection after so many bytes of a file, once.
        seconds_per_chunk: how slow it is.
        refuses: status and the Hub's error code, for everything.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.sent: list[tuple[str, int]] = []
        self.cut_at: int | None = None
        self.seconds_per_chunk = 0.0
        self.refuses: tuple[int, str] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """From now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def commit(self, repo: str) -> str:
        """Changes with the content."""
        content = [f"{path} {hashlib.sha1(data).hexdigest()}" for path, data in sorted(self.repos[repo].items())]
        return hashlib.sha1("\n".join(content).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    def log_message(self, *_: object) -> None:
        pass

    def parse_request(self) -> bool:
        is_whole = super().parse_request()
        self.hub.asked.append(self.path)
        return is_whole

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        match self._parts():
            case ["api", "models", org, name, "revision", _] if f"{org}/{name}" in self.hub.repos:
                commit = self.hub.commit(f"{org}/{name}")
                self._answer(200, {"id": f"{org}/{name}", "sha": commit, "siblings": [], "tags": []})
            case ["api", "models", org, name, "tree", _] if f"{org}/{name}" in self.hub.repos:
                files = self.hub.repos[f"{org}/{name}"].items()
                self._answer(
                    200,
                    [
                        {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for path, data in files
                    ],
                )
            case ["api", *_]:
                self._refuse(401, "RepoNotFound")
            case _:
                self._file()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self._parts():
            case _ if self.hub.refuses:
                self._refuse(*self.hub.refuses)
            case ["api", "repos", "create"]:
                wanted = json.loads(body)
                repo = f"{wanted['organization']}/{wanted['name']}"
                self.hub.repos.setdefault(repo, {})
                self.hub.private[repo] = wanted.get("visibility") == "private"
                self._answer(200, {"url": f"{self.hub.address}/{repo}"})
            case ["api", "validate-yaml"]:
                _, front_matter, _ = json.loads(body)["content"].split("---\n", 2)
                known = yaml.safe_load(front_matter).keys() >= {"library_name", "tags"}
                self._answer(200, {"errors": [] if known else [{"message": "not a model's card"}], "warnings": []})
            case ["api", "models", _, _, "preupload", _]:
                modes = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                self._answer(200, {"files": modes})
            case ["api", "models", org, name, "commit", _]:
                for line in body.splitlines():
                    if (operation := json.loads(line))["key"] == "file":
                        value = operation["value"]
                        self.hub.repos[f"{org}/{name}"][value["path"]] = base64.b64decode(value["content"])
                commit = self.hub.commit(f"{org}/{name}")
                self._answer(
                    200, {"commitOid": commit, "commitUrl": f"{self.hub.address}/{org}/{name}/commit/{commit}"}
                )
            case _:
                self._refuse(404, "NotFound")

    def _parts(self) -> list[str]:
        return urlsplit(self.path).path.strip("/").split("/")

    def _file(self) -> None:
        org, name, _, _, *path = self._parts()
        repo, inner = f"{org}/{name}", "/".join(path)
        if self.hub.refuses:
            return self._refuse(*self.hub.refuses)
        if repo not in self.hub.repos:
            return self._refuse(401, "RepoNotFound")
        if inner not in self.hub.repos[repo]:
            return self._refuse(404, "EntryNotFound")
        data = self.hub.repos[repo][inner]
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.hub.commit(repo))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - first))
        if self.headers["Range"]:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.hub.sent.append((inner, first))
            self._send(data, first)

    def _send(self, data: bytes, first: int) -> None:
        cut_at, self.hub.cut_at = self.hub.cut_at, None
        try:
            for start in range(first, len(data) if cut_at is None else cut_at, CHUNK):
                self.wfile.write(data[start : start + CHUNK])
                time.sleep(self.hub.seconds_per_chunk)
        except ConnectionError:  # the other side was killed
            self.close_connection = True
        if cut_at is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"error": code}, {"X-Error-Code": code})

    def _answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
