"""`python -m generatect.render FILE… output=DIR`: volumes as pictures, films and pages that need no server."""

import sys
from pathlib import Path

from generatect.config.command import run_command
from generatect.config.words import is_setting, quoted
from generatect.ct.animation import write_gif
from generatect.ct.intensity import WINDOWS
from generatect.ct.preview import montage
from generatect.ct.projection import projections
from generatect.ct.scan import Reading
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import volume_name
from generatect.data.scans import find_volumes, refuse_overwriting
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.not_done import NotDone
from generatect.progress import bars
from generatect.web.film import ADVICE, can_film, write_mp4
from generatect.web.standalone import write_page
from generatect.web.texts import find_text, read_sidecar

VIEWS = ("montage", "projections", "gif", "mp4", "html")


def render(
    *,
    input: str | list[str],
    output: str,
    views: list[str],
    window: str,
    hu_policy: str,
    assume_axes: str | None,
    series: str | int | None,
) -> None:
    """Writes pictures of each volume: three planes, projections, a walk through the slices, a page to scroll.

    What a sidecar or a table beside a volume says of it (its report, SYNTHETIC) is on all of them.

    Args:
        input: NIfTI files, folders searched for them, or folders of one DICOM series each.
        output: folder of the results; a folder's structure is kept.
        views: which of `VIEWS`; mp4 is left out, and said, where imageio-ffmpeg is not installed.
        window: of the walks: lung, mediastinum or bone.
        hu_policy: how stored values become HU; for this and the next two see `Reading`.
        assume_axes: axes of files that state none.
        series: which series of a DICOM folder of several.

    Raises:
        InputError: whatever of this cannot be used; of several volumes, after the others are done.
    """
    for view in views:
        if view not in VIEWS:
            raise InputError(f"views: {view!r} is none; choose of {', '.join(VIEWS)}")
    if window not in WINDOWS:
        raise InputError(f"window={window}: expected one of {', '.join(WINDOWS)}")
    reading = Reading(hu_policy, assume_axes, series)
    paths = [Path(path).expanduser() for path in ([input] if isinstance(input, str) else input)]
    if not paths:
        raise InputError("input: no file; name NIfTI files, or folders of NIfTI or DICOM")
    not_done = NotDone()
    found = [entry for path in paths for entry in find_volumes(path, not_done.closed)]
    refuse_overwriting(found, Path(output).expanduser())
    folder = writable_folder(output)
    if "mp4" in views and not can_film():
        print(ADVICE)
        views = [view for view in views if view != "mp4"]
    written: list[Path] = []
    with bars() as show:
        for index, (path, name) in enumerate(found):
            with not_done.going_on():
                volume = reading.read(path).volume
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                written += _render_one(volume, path, target, views, window)
            show("volumes", index + 1, len(found))
    for path in written:
        print("wrote", path)
    not_done.tell(len(found), "volumes", folder)


def _render_one(volume: CTVolume, path: Path, target: Path, views: list[str], window: str) -> list[Path]:
    sidecar = read_sidecar(path)
    text, notice = sidecar.get("prompt"), sidecar.get("notice")
    if not sidecar:
        text, notice = find_text(path, path.parent)
    text, notice = text if isinstance(text, str) else "", notice or ""
    caption = "   ·   ".join(part for part in (text, notice) if part)
    written = []

    def to(ending: str) -> Path:
        written.append(target.with_name(f"{target.name}{ending}"))
        return written[-1]

    if "montage" in views:
        montage(volume, to(".png"), caption)
    if "projections" in views:
        for kind in ("maximum", "minimum"):
            projections(volume, to(f"-{kind}.png"), kind, caption)
    if "gif" in views:
        write_gif(volume, to(".gif"), window, label=notice)
    if "mp4" in views:
        write_mp4(volume, to(".mp4"), window, label=notice)
    if "html" in views:
        write_page(volume, to(".html"), volume_name(target.name), text, notice)
    return written


def name_inputs(arguments: list[str]) -> list[str]:
    """Command-line words with those that are files, such as `a.nii.gz b.nii.gz`, put together as `input=[…]`."""
    files = [word for word in arguments if not word.startswith("-") and (not is_setting(word) or Path(word).exists())]
    others = [word for word in arguments if word not in files]
    return [f"input=[{','.join(map(quoted, files))}]", *others] if files else arguments


if __name__ == "__main__":
    sys.argv[1:] = name_inputs(sys.argv[1:])
    run_command("render", render)
