"""The page's addresses, and what each answers."""

import sys
import traceback
from pathlib import Path

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from generatect import __version__
from generatect.config.one_line import one_line
from generatect.errors import InputError
from generatect.web import downloads, history, volumes
from generatect.web.answers import Answer
from generatect.web.bodies import TooLargeError, read_body, read_json
from generatect.web.jobs import FullError, Job
from generatect.web.library import ChangedError
from generatect.web.patience import NUM_THREADS, patiently
from generatect.web.security import Guard
from generatect.web.studio import Studio
from generatect.web.wishes import read_options, read_wish

STATIC = Path(__file__).with_name("static")
STATUS = {TooLargeError: 413, FullError: 429, ChangedError: 409}


def make_app(studio: Studio, token: str, port: int) -> Guard:
    """The application, guarded.

    Args:
        studio: what it works with.
        token: the secret in its address.
        port: where it will listen.
    """
    routes = [
        Route("/", _index),
        Route("/api/about", _about),
        Route("/api/cost", _cost),
        Route("/api/jobs", _jobs),
        Route("/api/jobs", _submit, methods=["POST"]),
        Route("/api/jobs/{id}", _cancel, methods=["DELETE"]),
        Route("/api/jobs/{id}/picture", _picture),
        Route("/api/history", patiently(_history)),
        Route("/api/folder", patiently(_folder)),
        Route("/api/uploads", _upload, methods=["POST"]),
        *volumes.ROUTES,
        *downloads.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    errors = {InputError: _refused, OSError: _unusable, MemoryError: _unusable, 404: _missing, 405: _missing}
    app = Starlette(routes=routes, exception_handlers={**errors, Exception: _broken})
    app.state.studio, app.state.disks = studio, CapacityLimiter(NUM_THREADS)
    return Guard(app, token, port)


def _studio(request: Request) -> Studio:
    return request.app.state.studio


async def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _about(request: Request) -> Response:
    studio = _studio(request)
    grid = studio.model.preset.upscaled_grid
    return Answer(
        {
            "version": __version__,
            "notice": studio.model.notice,
            "device": str(studio.model.device),
            "grid": {"shape_zyx": grid.shape_zyx, "spacing_mm_zyx": grid.spacing_mm_zyx},
            "defaults": {
                "steps": studio.tokens.steps,
                "guidance": studio.tokens.guidance,
                "upscale_steps": studio.upscale.steps,
            },
            "examples": [vars(example) for example in studio.examples.listing()],
            "folders": [root.name or str(root) for root in studio.folders.roots],
            "max_upload_bytes": studio.max_upload_bytes,
            "output": str(studio.output),
        }
    )


def _cost(request: Request) -> Response:
    studio, given = _studio(request), request.query_params
    numbers = {key: _number(given[key]) for key in ("steps", "guidance", "upscale_steps") if key in given}
    return Answer({"cost": studio.cost(*read_options(numbers, studio.tokens, studio.upscale))})


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None


def _jobs(request: Request) -> Response:
    return Answer([job.described() for job in _studio(request).jobs.listing()])


async def _submit(request: Request) -> Response:
    studio, content = _studio(request), await read_json(request)

    def submit() -> Job:
        if content.get("kind") == "reconstruct":
            return studio.reconstruct(str(content.get("volume")))
        return studio.generate(read_wish(content, studio.tokens, studio.upscale))

    return Answer((await run_in_threadpool(submit)).described(), 201)


def _job(request: Request) -> Job:
    job = _studio(request).jobs.find(request.path_params["id"])
    if job is None:
        raise InputError("There is no such job.")
    return job


def _cancel(request: Request) -> Response:
    job = _job(request)
    _studio(request).jobs.cancel(job)
    return Answer(job.described())


def _picture(request: Request) -> Response:
    picture = _job(request).picture
    if picture is None:
        raise InputError("There is no picture of it now.")
    return Response(picture, media_type="image/png")


def _history(request: Request) -> Response:
    return Answer(history.made(_studio(request).output))


def _folder(request: Request) -> Response:
    folders, place = _studio(request).folders, request.query_params.get("place", "")
    listing = folders.listing(place)
    return Answer(
        {
            "folders": [{"name": name, "place": f"{place}/{name}"} for name in listing.folders],
            "volumes": [{"name": name, "volume": f"files/{place}/{name}"} for name in listing.volumes],
            "is_cut": listing.is_cut,
        }
    )


async def _upload(request: Request) -> Response:
    studio = _studio(request)
    content = await read_body(request, studio.max_upload_bytes)
    name = Path(request.query_params.get("name", "").replace("\\", "/")).name
    return Answer({"volume": await run_in_threadpool(studio.library.open, name, content)}, 201)


def _refused(_request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)
    return Answer({"error": str(error)}, status, {"Connection": "close"} if status == 413 else None)


def _unusable(_request: Request, error: Exception) -> Response:
    """For what the machine refuses: a file that was removed just now, a full disk, too little memory."""
    reason = one_line(error) if isinstance(error, OSError) else "This needs more memory than there is."
    return Answer({"error": reason}, 400)


def _missing(_request: Request, _error: Exception) -> Response:
    return Answer({"error": "There is nothing at this address."}, 404)


def _broken(_request: Request, error: Exception) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return Answer({"error": "The server met an error of its own; its terminal says more."}, 500)
