"""The HTTP server, made so that nobody can keep others from being answered, and a signal always ends it."""

import asyncio
import logging
import os
import threading
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
"""At once. A browser opens six; each takes a descriptor, of which a process has 256 at the least."""

HEADER_SECONDS = 10.0
"""That a connection may stay open without a whole request."""

ENDING_SECONDS = 8.0
"""From a signal until the process ends, even if a thread waits for a disk that does not answer."""


class Connection(H11Protocol):
    """A connection that is closed when it takes too long to ask, or when others ask and it does not."""

    deadline: asyncio.TimerHandle | None = None
    opened_at = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock, and closes the oldest idle connection where there are too many."""
        super().connection_made(transport)
        self.opened_at = self.loop.time()
        self._watch()
        others = [other for other in self.connections if not other.transport.is_closing()]
        if len(others) > MAX_CONNECTIONS:
            idle = (other for other in others if isinstance(other, Connection) and other.is_idle)
            min(idle, key=lambda other: other.opened_at).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Starts the clock, or stops it when a request is whole."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        super().connection_lost(exc)
        self._stop_clock()

    def _watch(self) -> None:
        if not self.is_idle:
            self._stop_clock()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_clock(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


class Server(uvicorn.Server):
    """A server that a first signal ends within `ENDING_SECONDS`, a second one at once.

    Python would wait for threads that read files. What they do may be cut off: files are written whole or not at all.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of signals."""
        if self.should_exit:
            os._exit(128 + sig)
        last = threading.Timer(ENDING_SECONDS, os._exit, (128 + sig,))
        last.daemon = True
        last.start()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cut off now need not be told
        super().handle_exit(sig, frame)


def make_server(app: ASGIApp) -> Server:
    """A server for an application; it speaks HTTP alone, and says no more of itself than it must."""
    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            log_level="error",  # warnings tell of requests that are refused anyway
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=MAX_CONNECTIONS // 2,  # as many are taken at once, before the oldest can be closed
            timeout_graceful_shutdown=2,
        )
    )
