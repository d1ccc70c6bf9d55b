"""Nobody keeps others from being answered, and a signal always ends the server."""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse

from generatect.serve import _listen
from generatect.web import server
from generatect.web.server import MAX_CONNECTIONS, make_server

# Answers "/" at once, and at any other address waits for ever, as for a disk that does not answer.
HANGING_SERVER = """
import socket, sys, threading
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from generatect.web.server import make_server

def hang(request):
    threading.Event().wait()

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here")), Route("/hang", hang)])
make_server(app).run(sockets=[listener])
"""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers everything at once."""
    listener = _listen(0)
    running = make_server(PlainTextResponse("here"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    running.should_exit = True
    thread.join(30)
    listener.close()


def answered(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/")
    return connection.getresponse().read() == b"here"


def asking(port: int) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20))


def silent(port: int, said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(said)
    return connection


def is_closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        while connection.recv(4096):  # what was answered before; fails after the socket's time-out
            pass
    return True


def test_more_connections_than_are_kept_close_the_oldest_idle_ones(port):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(silent(port, b"GET / HT"[: number % 9])) for number in range(2 * MAX_CONNECTIONS)]
        for _ in range(3):
            assert answered(stack.enter_context(asking(port)))
        assert all(is_closed(connection) for connection in idle[:MAX_CONNECTIONS])


def test_a_connection_that_never_finishes_its_request_is_closed(port, monkeypatch):
    """The first request, and one that follows an answer, whatever it goes on saying."""
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with silent(port, b"GET / HT") as first, silent(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as second:
        assert second.recv(4096).startswith(b"HTTP/1.1 200")
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(100):
                second.sendall(b"G")
                time.sleep(0.05)
        assert is_closed(first)
        assert is_closed(second)


def test_a_connection_that_asks_is_kept(port):
    with asking(port) as connection:
        assert answered(connection)
        before = connection.sock
        assert answered(connection)
        assert connection.sock is before


@pytest.mark.parametrize(("signals", "code"), [([signal.SIGINT] * 2, 130), ([signal.SIGTERM], -signal.SIGTERM)])
def test_signals_end_it_though_a_thread_hangs(signals, code):
    process = subprocess.Popen([sys.executable, "-c", HANGING_SERVER], stdout=-1, stderr=-1, text=True)
    with process:
        port = int(process.stdout.readline())
        with silent(port, b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n"), asking(port) as other:
            assert answered(other)
            for number in signals:
                process.send_signal(number)
                time.sleep(0.5)
            assert process.wait(60) == code
        assert process.stderr.read().count("\n") <= 1
