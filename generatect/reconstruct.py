"""`python -m generatect.reconstruct input=FILE_or_FOLDER output=DIR`: what CT-ViT makes of real volumes."""

import json
import math
import time
from pathlib import Path

import torch

from generatect import __version__
from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import find_weights
from generatect.config.command import run_command
from generatect.ct.hu_evidence import FAR_ABOVE_HU, MAX_FAR_ABOVE_SHARE, share_far_above
from generatect.ct.nifti import write_nifti
from generatect.ct.preset import Preset
from generatect.ct.preview import comparison
from generatect.ct.scan import Reading
from generatect.data.scans import find_volumes, refuse_overwriting
from generatect.files import atomic_path, sha256_of_file, writable_folder
from generatect.metrics.reconstruction import psnr, ssim
from generatect.networks.ctvit import CTViT
from generatect.not_done import NotDone
from generatect.pipeline import pick_device
from generatect.progress import bars, duration


def reconstruct(
    *,
    input: str,
    output: str,
    weights: str | dict[str, str],
    hu_policy: str,
    assume_axes: str | None,
    series: str | int | None,
    device: str,
    cache_dir: str,
) -> None:
    """Encodes and decodes volumes; writes each on its own grid, with PSNR and SSIM and a picture beside the original.

    Those that cannot be used are listed at the end, when the others are done.

    The model sees the preset's grid; the result is resampled onto the input's voxels, axes and affine. Where the model
    does not reach (outside the field of view) there is air.

    Args:
        input: a NIfTI file, a folder searched for them, or the folder of one DICOM series.
        output: folder of the results; a folder's structure is kept.
        weights: "phantom", "released", ORG/NAME on the Hub, a folder with `ctvit`, or a file of stage `ctvit`.
        hu_policy: how stored values become HU; for this and the next two see `Reading`.
        assume_axes: axes of files that state none.
        series: which series of a DICOM folder of several.
        device: auto, cpu, cuda, ….
        cache_dir: folder of converted files.

    Raises:
        InputError: whatever of this cannot be used; of a folder's volumes, after the others are done.
    """
    reading, not_done = Reading(hu_policy, assume_axes, series), NotDone()
    found = find_volumes(Path(input).expanduser(), not_done.closed)
    refuse_overwriting(found, Path(output).expanduser())
    folder = writable_folder(output)
    file = find_weights(weights, "ctvit", cache_dir)
    preset, where = rebuild_preset(file), pick_device(device)
    network = rebuild_network(file, "ctvit").to(where)
    print(estimate(network, preset, where, len(found)))
    notice = file.description.get("notice")
    if notice is not None:
        print(f"these weights know one thing only: {notice}")
        print("they draw a real CT as if it were one of these; for real CT name your own by weights=FOLDER")
    with bars() as show:
        for index, (path, name) in enumerate(found):
            with not_done.going_on():
                scores = _reconstruct_one(path, folder / name, reading, network, preset, where, file.sha256, notice)
                print(f"{path}: {_said(scores)}, on the model's grid {_said(scores, 'grid_')}")
                print(f"wrote {folder / name}.nii.gz {folder / name}.json {folder / name}.png")
            show("volumes", index + 1, len(found))
    not_done.tell(len(found), "volumes", folder)


def estimate(network: CTViT, preset: Preset, device: torch.device, num_volumes: int) -> str:
    """What the work will cost, from timing the network on the first few slices of an empty volume."""
    z, y, x = preset.grid.shape_zyx
    num_slices = min(z, 1 + network.slice_patch_size)
    started = time.monotonic()
    with torch.inference_mode():
        network(torch.zeros(1, 1, num_slices, y, x, device=device)).reconstruction.sum().item()
    seconds = (time.monotonic() - started) * z / num_slices * num_volumes
    return (
        f"{num_volumes} volume{'s' * (num_volumes != 1)} through a grid of {preset.grid.said}: about "
        f"{duration(seconds)} on {device}, and the time to read, resample and write them"
    )


def _reconstruct_one(
    path: Path,
    target: Path,
    reading: Reading,
    network: CTViT,
    preset: Preset,
    device: torch.device,
    sha256: str,
    notice: str | None,
) -> dict[str, float | None]:
    scan = reading.read(path)
    original = scan.volume
    if (share := share_far_above(original.voxels_hu)) > MAX_FAR_ABOVE_SHARE:
        print(
            f"{path}: {share:.0%} of its voxels lie above {FAR_ABOVE_HU} HU, as no CT's do (padding read as unsigned?)"
        )
    model_input = preset.to_model(original)
    with torch.inference_mode():
        model_output = network(model_input[None].to(device)).reconstruction[0].cpu()
    result = preset.to_volume(model_output, original)
    seen = [torch.from_numpy(preset.to_volume(array).voxels_hu) for array in (model_input, model_output)]
    own = [torch.from_numpy(volume.voxels_hu).float() for volume in (original, result)]
    scores = {"psnr_db": psnr(*own), "ssim": ssim(*own), "grid_psnr_db": psnr(*seen), "grid_ssim": ssim(*seen)}

    target.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(target.with_name(f"{target.name}.nii.gz"), result, scan.layout, description="SYNTHETIC generatect")
    caption = _said(scores) + (f" · weights: {notice}" if notice else "")
    comparison({"input": original, "reconstruction": result}, target.with_name(f"{target.name}.png"), caption)
    sidecar = {
        "notice": "SYNTHETIC: a model's reconstruction of a CT",
        "weights_notice": notice,
        **{key: None if value == math.inf else value for key, value in scores.items()},  # JSON has no infinity
        "hu": {"policy": scan.hu.policy, "slope": scan.hu.slope, "intercept": scan.hu.intercept, "why": scan.hu.reason},
        "preset": preset.name,
        "grid_shape_zyx": list(preset.grid.shape_zyx),
        "grid_spacing_mm_zyx": list(preset.grid.spacing_mm_zyx),
        "weights_sha256": {"ctvit": sha256},
        "volume_sha256": sha256_of_file(target.with_name(f"{target.name}.nii.gz")),
        "versions": {"generatect": __version__, "torch": torch.__version__},
    }
    with atomic_path(target.with_name(f"{target.name}.json")) as temporary:
        temporary.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return scores


def _said(scores: dict[str, float | None], prefix: str = "") -> str:
    similarity = scores[f"{prefix}ssim"]
    return f"PSNR {scores[f'{prefix}psnr_db']:.1f} dB, SSIM " + ("–" if similarity is None else f"{similarity:.3f}")


if __name__ == "__main__":
    run_command("reconstruct", reconstruct)
