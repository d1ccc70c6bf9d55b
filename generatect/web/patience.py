"""Work on disks, apart from everything else.

A network drive that does not answer keeps its threads; those that tell of jobs and cancel them are others.
"""

from collections.abc import Awaitable, Callable

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

NUM_THREADS = 16
"""That work on disks at once; the application's `state.disks` counts them."""


def patiently(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Makes a handler wait for its turn among those that read files, and run in a thread."""

    async def answer(request: Request) -> Response:
        return await anyio.to_thread.run_sync(handler, request, limiter=request.app.state.disks)

    return answer
