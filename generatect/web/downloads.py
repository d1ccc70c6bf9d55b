"""Volumes as files to keep."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from generatect.ct.animation import write_gif
from generatect.ct.nifti import nifti_bytes
from generatect.ct.preview import montage
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import without_ending
from generatect.errors import InputError
from generatect.web.library import Library
from generatect.web.patience import patiently
from generatect.web.within import is_file_within, open_file


def streamed(volume: CTVolume, description: str, headers: dict[str, str] | None = None) -> Response:
    """A volume as an uncompressed NIfTI file in HU, made while it is sent."""
    length = str(352 + 2 * volume.voxels_hu.size)

    def content() -> Iterator[bytes]:
        yield from nifti_bytes(volume, description)

    return StreamingResponse(content(), headers={"Content-Length": length, **(headers or {})}, media_type="image/nii")


def download(request: Request) -> Response:
    """A file to keep: "nifti", "png", "gif" or "json"."""
    library: Library = request.app.state.studio.library
    volume_id, kind = (request.query_params.get(key, "") for key in ("volume", "format"))
    library.require_state(volume_id, request.query_params.get("state"))
    path, about = library.path(volume_id), library.about(volume_id)
    name = _plain(without_ending(volume_id.rpartition("/")[2]), volume_id)
    made = path if path is not None and volume_id.startswith("made/") else None
    picture = made and made.with_name(f"{without_ending(made.name)}.png")
    if kind == "nifti" and made:
        return _kept(made, f"{name}.nii.gz")
    if kind == "nifti":
        stamp = " ".join(word for word in ("PHANTOM", "SYNTHETIC") if word in (about.notice or ""))
        return streamed(library.volume(volume_id), f"{stamp} generatect".strip(), _attachment(f"{name}.nii"))
    if kind == "json" and about.sidecar:
        return _sent(json.dumps(about.sidecar, indent=2, ensure_ascii=False).encode(), f"{name}.json")
    if kind == "png" and picture and is_file_within(picture, library.output):
        return _kept(picture, f"{name}.png")
    if kind in ("png", "gif"):
        caption = "   ·   ".join(part for part in (about.text or about.title, about.notice) if part)
        with tempfile.TemporaryDirectory(prefix="generatect-") as folder:
            target = Path(folder) / f"picture.{kind}"
            if kind == "png":
                montage(library.volume(volume_id), target, caption)
            else:
                write_gif(library.volume(volume_id), target, label=about.notice or "")
            return _sent(target.read_bytes(), f"{name}.{kind}")
    raise InputError("format: expected nifti, png, gif or, where there is a sidecar, json.")


def _kept(path: Path, name: str) -> Response:
    """A file from the disk, read at one blow: another may be written over it while it is sent."""
    with open_file(path) as file:
        return _sent(file.read(), name)


def _sent(content: bytes, name: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers=_attachment(name))


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _plain(name: str, volume_id: str) -> str:
    """A file name of letters that a header may hold."""
    kept = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_."))[:80]
    return f"{volume_id.partition('/')[0]}-{kept}" if kept.isdecimal() or not kept else kept


ROUTES = [Route("/api/file", patiently(download))]
