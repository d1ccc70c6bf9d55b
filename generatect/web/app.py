"""The page's addresses, and what each answers."""

import sys
import traceback
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from generatect import __version__
from generatect.errors import InputError
from generatect.web import history, volumes
from generatect.web.bodies import TooLargeError, read_body, read_json
from generatect.web.jobs import FullError, Job
from generatect.web.security import Guard
from generatect.web.studio import Studio
from generatect.web.wishes import read_options, read_wish

STATIC = Path(__file__).with_name("static")


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
        Route("/api/history", _history),
        Route("/api/folder", _folder),
        Route("/api/uploads", _upload, methods=["POST"]),
        *volumes.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    errors = {InputError: _refused, TooLargeError: _refused, FullError: _refused, 404: _missing, 405: _missing}
    app = Starlette(routes=routes, exception_handlers={**errors, Exception: _broken})
    app.state.studio = studio
    return Guard(app, token, port)


def _studio(request: Request) -> Studio:
    return request.app.state.studio


async def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _about(request: Request) -> Response:
    studio = _studio(request)
    grid = studio.model.preset.upscaled_grid
    return JSONResponse(
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
    return JSONResponse({"cost": studio.cost(*read_options(numbers, studio.tokens, studio.upscale))})


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None


def _jobs(request: Request) -> Response:
    return JSONResponse([job.described() for job in _studio(request).jobs.listing()])


async def _submit(request: Request) -> Response:
    studio, content = _studio(request), await read_json(request)

    def submit() -> Job:
        if content.get("kind") == "reconstruct":
            return studio.reconstruct(str(content.get("volume")))
        return studio.generate(read_wish(content, studio.tokens, studio.upscale))

    return JSONResponse((await run_in_threadpool(submit)).described(), 201)


def _job(request: Request) -> Job:
    job = _studio(request).jobs.find(request.path_params["id"])
    if job is None:
        raise InputError("There is no such job.")
    return job


def _cancel(request: Request) -> Response:
    job = _job(request)
    _studio(request).jobs.cancel(job)
    return JSONResponse(job.described())


def _picture(request: Request) -> Response:
    picture = _job(request).picture
    if picture is None:
        raise InputError("There is no picture of it now.")
    return Response(picture, media_type="image/png")


def _history(request: Request) -> Response:
    return JSONResponse(history.made(_studio(request).output))


def _folder(request: Request) -> Response:
    folders, place = _studio(request).folders, request.query_params.get("place", "")
    listing = folders.listing(place)
    return JSONResponse(
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
    return JSONResponse({"volume": await run_in_threadpool(studio.library.open, name, content)}, 201)


def _refused(_request: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, TooLargeError) else 429 if isinstance(error, FullError) else 400
    return JSONResponse({"error": str(error)}, status, {"Connection": "close"} if status == 413 else None)


def _missing(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "There is nothing at this address."}, 404)


def _broken(_request: Request, error: Exception) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return JSONResponse({"error": "The server met an error of its own; its terminal says more."}, 500)
