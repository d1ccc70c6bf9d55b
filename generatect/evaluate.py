"""`python -m generatect.evaluate real=DIR fake=DIR …`: numbers about generated volumes that can be defended.

`python -m generatect.evaluate table …` makes the results table of the paper: see `generatect.evaluation.table`.
"""

import sys
from typing import Any

from rich.console import Console

from generatect.config.build import build
from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.ct.arrays import ArrayForm
from generatect.ct.scan import Reading
from generatect.evaluation.compare import compare
from generatect.evaluation.instruments import load_tools
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.requirements import require_comparable
from generatect.evaluation.result import write_results
from generatect.evaluation.result_csv import write_results_csv
from generatect.evaluation.terminal import TABLE_WIDTH, show_results
from generatect.evaluation.volumes import read_folder
from generatect.files import writable_folder
from generatect.pipeline import pick_device
from generatect.progress import bars


def evaluate(
    *,
    real: str,
    fake: str,
    output: str,
    metrics: list[str],
    evaluation: dict[str, Any],
    grid: str,
    fid: dict[str, Any],
    fvd: dict[str, Any],
    clip_score: dict[str, Any],
    arrays: dict[str, Any],
    hu_policy: str,
    assume_axes: str | None,
    device: str,
    cache_dir: str,
) -> None:
    """Compares two folders of volumes; prints a table, writes `results.json` and `results.csv`.

    Args:
        real: folder of real volumes.
        fake: folder of generated ones.
        output: folder of the results.
        metrics: see `METRICS`.
        evaluation: the preset, see `EvaluationPreset`.
        grid: "one", "fake" or "any"; see `compare`.
        fid: detector of slices and its consent; see `load_detector`.
        fvd: detector of clips, likewise.
        clip_score: `model`, see `load_clip`.
        arrays: range, axes and spacing_mm of volumes in `.npz`; see `ArrayForm.stated`.
        hu_policy: how stored values become HU; for this and the next see `Reading`.
        assume_axes: axes of files that state none.
        device: auto, cpu, cuda, ….
        cache_dir: what was measured in each volume is kept below it.

    Raises:
        InputError: whatever of this cannot be used.
    """
    preset: EvaluationPreset = build(evaluation)
    where = str(pick_device(device))
    check_arguments(ArrayForm.stated, {"setting": "arrays", **arrays}, "arrays")
    form, reading = ArrayForm.stated("arrays", **arrays), Reading(hu_policy, assume_axes)
    real_folder, fake_folder = (
        read_folder(folder, side, arrays=form, reading=reading) for folder, side in ((real, "real"), (fake, "fake"))
    )
    require_comparable(real_folder, fake_folder, metrics, preset, grid)
    tools = load_tools(metrics, {"fid": fid, "fvd": fvd}, clip_score, where, f"{cache_dir}/evaluation")
    folder = writable_folder(output)
    print(f"{len(real_folder.volumes)} real and {len(fake_folder.volumes)} generated volumes, preset {preset.name}")
    with bars() as show:
        results = compare(
            real_folder, fake_folder, metrics=metrics, preset=preset, tools=tools, grid=grid, say=print, progress=show
        )
    write_results(folder / "results.json", results)
    write_results_csv(folder / "results.csv", results)
    show_results(results, Console(width=TABLE_WIDTH))
    print(f"wrote {folder / 'results.json'} {folder / 'results.csv'}")


def main() -> None:
    """Runs the command: its first word `table` chooses the other one, `preset=NAME` is `evaluation=NAME`."""
    if sys.argv[1:2] == ["table"]:
        from generatect.evaluation.table import results_table

        del sys.argv[1]
        run_command("evaluate_table", results_table)
        return
    sys.argv[1:] = [
        f"evaluation={word.removeprefix('preset=')}" if word.startswith("preset=") else word for word in sys.argv[1:]
    ]
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()
