"""An S3 on this machine: the few requests of its HTTP interface that reading and writing objects need."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class LocalS3:
    """Serves `objects` on 127.0.0.1 until it is closed.

    Attributes:
        objects: content by "bucket/key".
        requests: (method, "bucket/key", range or None) of all that came.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """From now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: LocalS3

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding", "").startswith("aws-chunked"):
            data = _dechunked(data)
        self.store.requests.append(("PUT", self._key(), None))
        self.store.objects[self._key()] = data
        self._send(200, b"")

    def _answer(self, with_body: bool) -> None:
        wanted = self.headers.get("Range")
        self.store.requests.append((self.command, self._key(), wanted))
        data = self.store.objects.get(self._key())
        if data is None:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
        elif wanted is not None:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1]
            self._send(206, part, f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        else:
            self._send(200, data, with_body=with_body)

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path.lstrip("/"))

    def _send(self, status: int, body: bytes, content_range: str | None = None, with_body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
        self.send_header("ETag", '"0"')
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _dechunked(data: bytes) -> bytes:
    """The content of a body in "aws-chunked" encoding: size in hex, content, and so on to a chunk of size 0."""
    parts = []
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        parts.append(data[:size])
        data = data[size + 2 :]
    return b"".join(parts)
