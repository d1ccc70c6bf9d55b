"""The addresses of volumes: what is known of one, its slices, its projections."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from generatect.ct.difference import offset_mm
from generatect.ct.intensity import WINDOWS
from generatect.ct.preview import PLANES, Plane, body_centre
from generatect.ct.projection import project
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.web.answers import Answer
from generatect.web.downloads import streamed
from generatect.web.library import Library
from generatect.web.patience import patiently

OF_NAME = {plane.name.lower(): plane for plane in PLANES}


def _library(request: Request) -> Library:
    return request.app.state.studio.library


def _id(request: Request, key: str = "volume") -> str:
    return request.query_params.get(key, "")


def _voxels(request: Request) -> CTVolume:
    """The volume that is asked for, or its difference to another."""
    library, volume_id, minus = _library(request), _id(request), _id(request, "minus")
    state, minus_state = (request.query_params.get(key) for key in ("state", "minus_state"))
    return library.change(minus, volume_id, (minus_state, state)) if minus else library.volume(volume_id, state)


def _plane(request: Request) -> Plane:
    name = request.query_params.get("plane", "")
    if name not in OF_NAME:
        raise InputError(f"plane: expected one of {', '.join(OF_NAME)}.")
    return OF_NAME[name]


def describe(request: Request) -> Response:
    """Shape, place, report, sidecar and notices of a volume."""
    library, volume_id = _library(request), _id(request)
    state = library.state(volume_id)
    seen = library.seen(volume_id, state)
    about, volume = library.about(volume_id), seen.volume
    return Answer(
        {
            "volume": volume_id,
            "state": state,
            "title": about.title,
            "notice": about.notice,
            "text": about.text,
            "sidecar": about.sidecar or None,
            "doubt": about.doubt,
            "hu": seen.hu,
            "is_made": volume_id.startswith("made/"),
            "centre_zyx": body_centre(volume),
            "windows": {name: {"width": width, "level": level} for name, (width, level) in WINDOWS.items()},
            **_geometry(volume),
        }
    )


def compare(request: Request) -> Response:
    """How two volumes belong together: the way from one to the other, and whether their difference can be shown."""
    library, first, second = _library(request), _id(request, "a"), _id(request, "b")
    volumes = library.volume(first), library.volume(second)
    reason = None
    try:
        library.change(first, second)
    except InputError as error:
        reason = f"No difference: {error}"
    return Answer({"offset_mm": offset_mm(*volumes).tolist(), "no_difference": reason, **_geometry(volumes[0])})


def _geometry(volume: CTVolume) -> dict[str, Any]:
    return {
        "shape_zyx": volume.shape_zyx,
        "spacing_mm_zyx": volume.spacing_mm_zyx,
        "affine": volume.affine.tolist(),
        "inverse": np.linalg.inv(volume.affine).tolist(),
    }


def cut(request: Request) -> Response:
    """One slice as int16 HU, little-endian, row by row as it is looked at."""
    plane, index = _plane(request), request.query_params.get("index", "")
    volume = _voxels(request)
    if not (index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < volume.shape_zyx[plane.axis]):
        raise InputError(f"index: expected a whole number below {volume.shape_zyx[plane.axis]}.")
    return _pixels(plane.cut(volume, int(index)))


def projection(request: Request) -> Response:
    """A projection, in the same form as a slice."""
    return _pixels(np.rint(project(_voxels(request), _plane(request), _id(request, "kind"))))


def _pixels(hu: np.ndarray) -> Response:
    rows, columns = hu.shape
    headers = {"X-Rows": str(rows), "X-Columns": str(columns)}
    return Response(hu.astype("<i2").tobytes(), media_type="application/octet-stream", headers=headers)


def nifti(request: Request) -> Response:
    """The volume as an uncompressed NIfTI file in HU, for the viewer in the page."""
    return streamed(_voxels(request), "generatect")


def small_picture(request: Request) -> Response:
    """Three planes, small."""
    return Response(_library(request).thumbnail(_id(request)), media_type="image/jpeg")


ROUTES = [
    Route("/api/volume", patiently(describe)),
    Route("/api/pair", patiently(compare)),
    Route("/api/slice", patiently(cut)),
    Route("/api/projection", patiently(projection)),
    Route("/api/nifti", patiently(nifti)),
    Route("/api/thumbnail", patiently(small_picture)),
]
