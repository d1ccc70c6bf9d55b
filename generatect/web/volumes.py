"""The addresses of volumes: what is known of one, its slices, its projections, its files."""

import base64
import json
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from generatect.ct.animation import write_gif
from generatect.ct.difference import offset_mm
from generatect.ct.intensity import WINDOWS
from generatect.ct.nifti import nifti_bytes
from generatect.ct.preview import PLANES, Plane, body_centre, montage
from generatect.ct.projection import project
from generatect.ct.volume import CTVolume
from generatect.data.inspection.thumbnail import thumbnail
from generatect.errors import InputError
from generatect.web.library import Library

OF_NAME = {plane.name.lower(): plane for plane in PLANES}
MAX_THUMBNAILS = 300
_thumbnails: OrderedDict[tuple[str, str], bytes] = OrderedDict()


def _library(request: Request) -> Library:
    return request.app.state.studio.library


def _id(request: Request, key: str = "volume") -> str:
    return request.query_params.get(key, "")


def _voxels(request: Request) -> CTVolume:
    """The volume that is asked for, or its difference to another."""
    library, minus = _library(request), _id(request, "minus")
    return library.change(minus, _id(request)) if minus else library.volume(_id(request))


def _plane(request: Request) -> Plane:
    name = request.query_params.get("plane", "")
    if name not in OF_NAME:
        raise InputError(f"plane: expected one of {', '.join(OF_NAME)}.")
    return OF_NAME[name]


def describe(request: Request) -> Response:
    """Shape, place, report, sidecar and notices of a volume."""
    library, volume_id = _library(request), _id(request)
    volume = library.volume(volume_id)
    about = library.about(volume_id)
    return JSONResponse(
        {
            "volume": volume_id,
            "title": about.title,
            "notice": about.notice,
            "text": about.text,
            "sidecar": about.sidecar or None,
            "hu": about.hu,
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
    return JSONResponse({"offset_mm": offset_mm(*volumes).tolist(), "no_difference": reason, **_geometry(volumes[0])})


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
    return _streamed(_voxels(request), "generatect")


def _streamed(volume: CTVolume, description: str, headers: dict[str, str] | None = None) -> Response:
    length = str(352 + 2 * volume.voxels_hu.size)

    def content() -> Iterator[bytes]:
        yield from nifti_bytes(volume, description)

    return StreamingResponse(content(), headers={"Content-Length": length, **(headers or {})}, media_type="image/nii")


def small_picture(request: Request) -> Response:
    """Three planes, small."""
    library, volume_id = _library(request), _id(request)
    key = (str(library.output), volume_id)
    if key not in _thumbnails:
        _thumbnails[key] = base64.b64decode(thumbnail(library.volume(volume_id)))
        while len(_thumbnails) > MAX_THUMBNAILS:
            _thumbnails.popitem(last=False)
    return Response(_thumbnails[key], media_type="image/jpeg")


def download(request: Request) -> Response:
    """A file to keep: "nifti", "png", "gif" or "json"."""
    library, volume_id, kind = _library(request), _id(request), _id(request, "format")
    path, about = library.path(volume_id), library.about(volume_id)
    name = _plain(volume_id.rpartition("/")[2].removesuffix(".gz").removesuffix(".nii"), volume_id)
    made = path if path is not None and volume_id.startswith("made/") else None
    if kind == "nifti":
        if made:
            return FileResponse(made, filename=made.name)
        stamp = " ".join(word for word in ("PHANTOM", "SYNTHETIC") if word in (about.notice or ""))
        headers = {"Content-Disposition": f'attachment; filename="{name}.nii"'}
        return _streamed(library.volume(volume_id), f"{stamp} generatect".strip(), headers)
    if kind == "json" and about.sidecar:
        return _attached(json.dumps(about.sidecar, indent=2, ensure_ascii=False).encode(), f"{name}.json")
    if kind == "png" and made and made.with_name(f"{made.name.removesuffix('.nii.gz')}.png").is_file():
        picture = made.with_name(f"{made.name.removesuffix('.nii.gz')}.png")
        return FileResponse(picture, filename=picture.name)
    if kind in ("png", "gif"):
        caption = "   ·   ".join(part for part in (about.text or about.title, about.notice) if part)
        with tempfile.TemporaryDirectory(prefix="generatect-") as folder:
            target = Path(folder) / f"picture.{kind}"
            if kind == "png":
                montage(library.volume(volume_id), target, caption)
            else:
                write_gif(library.volume(volume_id), target, label=about.notice or "")
            return _attached(target.read_bytes(), f"{name}.{kind}")
    raise InputError("format: expected nifti, png, gif or, where there is a sidecar, json.")


def _attached(content: bytes, name: str) -> Response:
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _plain(name: str, volume_id: str) -> str:
    """A file name of letters that a header may hold."""
    kept = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_."))[:80]
    return f"{volume_id.partition('/')[0]}-{kept}" if kept.isdecimal() or not kept else kept


ROUTES = [
    Route("/api/volume", describe),
    Route("/api/pair", compare),
    Route("/api/slice", cut),
    Route("/api/projection", projection),
    Route("/api/nifti", nifti),
    Route("/api/thumbnail", small_picture),
    Route("/api/file", download),
]
