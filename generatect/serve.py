"""`python -m generatect.serve`: a page on this machine to generate from reports, and to look at and compare volumes."""

import secrets
import socket
from typing import Any

from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.ct.scan import Reading
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.fitting import fit
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.placement import pick_precision
from generatect.web.app import make_app
from generatect.web.folders import Folders
from generatect.web.history import sweep
from generatect.web.server import make_server
from generatect.web.studio import Studio


def serve(
    *,
    output: str,
    weights: str | dict[str, str],
    browse: str | list[str] | None,
    port: int,
    device: str,
    tokens: dict[str, Any],
    upscale: dict[str, Any],
    memory: str | float,
    arithmetic: str,
    hu_policy: str,
    assume_axes: str | None,
    max_waiting: int,
    max_upload_mb: int,
    t5: str | None,
    cache_dir: str,
) -> None:
    """Serves the page on 127.0.0.1 until it is interrupted, and prints its address, which holds a token.

    Args:
        output: folder of what is made; what lies there already is shown, too.
        weights: as in `generatect.generate`.
        browse: a folder, or several, whose volumes the page may open.
        port: where to listen; 0 takes any that is free.
        device: auto, cpu, cuda, ….
        tokens: how tokens are sampled where the page does not say otherwise; see `TokenOptions`.
        upscale: how slices are refined, likewise; see `UpscaleOptions`. `slices_per_batch` is the most at once.
        memory: what it may take, such as 8GB; auto: nearly all that is free.
        arithmetic: fp32, bf16 or fp16; auto: bf16 on a GPU.
        hu_policy: how stored values of opened files become HU; for this and the next see `Reading`.
        assume_axes: axes of opened files that state none.
        max_waiting: jobs that may wait behind the one that runs.
        max_upload_mb: size of a file that the browser may send.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: whatever of this cannot be used.
    """
    check_arguments(TokenOptions, tokens, "tokens")
    check_arguments(UpscaleOptions, upscale, "upscale")
    reading = Reading(hu_policy, assume_axes)
    for name, value in (("max_waiting", max_waiting), ("max_upload_mb", max_upload_mb)):
        if value < 0:
            raise InputError(f"{name}={value}: expected a number from 0")
    folders = Folders([browse] if isinstance(browse, str) else browse or [])
    listener = _listen(port)
    try:
        folder = writable_folder(output)
        sweep(folder)
        model = TextToCT.load(weights, device, cache_dir, t5)
        precision = pick_precision(arithmetic, model.device)
        token_options, upscale_options, _ = fit(
            model, TokenOptions(**tokens), UpscaleOptions(**upscale), memory, precision
        )
        studio = Studio(
            model,
            folder,
            folders,
            token_options,
            upscale_options,
            reading,
            max_waiting,
            max_upload_mb * 1_000_000,
        )
        token, port = secrets.token_urlsafe(24), listener.getsockname()[1]
        print(f"open http://127.0.0.1:{port}/?token={token}")
        print("only this machine can reach it, and only with this address; Ctrl-C ends it", flush=True)
        try:
            make_server(make_app(studio, token, port)).run(sockets=[listener])
        finally:
            studio.jobs.close()
    finally:
        listener.close()


def _listen(port: int) -> socket.socket:
    """A socket that only this machine can reach.

    Raises:
        InputError: the port is impossible or taken.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"port={port}: expected a number from 0 to {2**16 - 1}; 0 takes any that is free")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise InputError(f"port={port}: cannot be used ({error.strerror}); port=0 takes any that is free") from error
    return listener


if __name__ == "__main__":
    run_command("serve", serve)
