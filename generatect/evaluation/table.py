"""`python -m generatect.evaluate table weights=…`: the results table of the paper from whatever weights are given."""

import time
from typing import Any

from rich.console import Console

from generatect.config.build import build
from generatect.config.check import check_arguments
from generatect.errors import InputError
from generatect.evaluation.gallery import Exhibit
from generatect.evaluation.held_out import chosen
from generatect.evaluation.instruments import load_tools
from generatect.evaluation.methods import MEASURED, METHODS, mean_histogram, measure_method
from generatect.evaluation.phantom_findings import (
    FindingRow,
    ShownPair,
    fitted_detectors,
    measure_findings,
    measure_pairs,
)
from generatect.evaluation.report import Report
from generatect.evaluation.result import software_versions
from generatect.evaluation.rows import caption, require_comparable
from generatect.evaluation.sampling import (
    GENERATED,
    GENERATED_LOWRES,
    REAL,
    REAL_LOWRES,
    RECONSTRUCTED,
    Sampled,
    sample,
    sample_counterfactuals,
)
from generatect.evaluation.table_files import write_table
from generatect.evaluation.table_forms import show_table
from generatect.evaluation.volume_folder import key_of
from generatect.files import writable_folder
from generatect.phantom.counterfactual import counterfactuals
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.progress import bars, duration
from generatect.sidecar import SYNTHETIC

MIN_VOLUMES = 4
"""Below it no statistic of two halves can be asked for."""
COUNTERFACTUAL_SEED = 906
"""Series of phantoms share no case; training uses small seeds."""
TABLE_WIDTH = 150
NO_CLIP = "no CLIP model was named (clip_score.model=FOLDER, or an id on the Hub)"
NO_CLASSIFIER = "no classifier of findings for these data; the phantom has its own"


def results_table(
    *,
    weights: str | dict[str, str],
    data: dict[str, Any],
    output: str,
    num_volumes: int,
    num_real: int | None,
    split: str,
    val_fraction: float,
    seed: int,
    evaluation: dict[str, Any],
    fid: dict[str, Any],
    fvd: dict[str, Any],
    clip_score: dict[str, Any],
    tokens: dict[str, Any],
    upscale: dict[str, Any],
    num_fit: int,
    num_counterfactuals: int,
    num_shown: int,
    wording: str,
    t5: str | None,
    device: str,
    cache_dir: str,
) -> None:
    """Prints the table of the paper's four methods; writes it as CSV, LaTeX, JSON and a page with pictures.

    Volumes and features are kept in `OUTPUT/work`, so that an interrupted evaluation goes on where it was.

    Args:
        weights: "phantom", "released", a folder, ORG/NAME on the Hub, or a file per stage; see `find_weights`.
        data: source of real volumes and their reports.
        output: folder of the results.
        num_volumes: volumes that each method makes.
        num_real: real volumes; None: twice as many where there are so many, for then the floor has the same number on
            each side as the numbers.
        split: "val": patients that training has not seen; "all": everyone.
        val_fraction: as in training, where the data do not say themselves who validates.
        seed: of the split, as in training, and of the first volume.
        evaluation: the protocol.
        fid: detector of images: `detector`, `sha256`, `width`.
        fvd: detector of clips, likewise.
        clip_score: `model`: a CLIP model; None: no CLIP score.
        tokens: how tokens are sampled.
        upscale: how slices are refined.
        num_fit: phantoms that the phantom's detectors of findings are fitted on.
        num_counterfactuals: patients for each changed finding.
        num_shown: prompts in the gallery.
        wording: of the counterfactual prompts.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        device: auto, cpu, cuda, ….
        cache_dir: folder of text features of frozen encoders and of converted files.

    Raises:
        InputError: whatever of this cannot be used.
    """
    settings = dict(locals())
    check_arguments(TokenOptions, tokens, "tokens")
    check_arguments(UpscaleOptions, upscale, "upscale")
    for key, value, least in (
        ("num_volumes", num_volumes, MIN_VOLUMES),
        ("num_real", num_volumes if num_real is None else num_real, num_volumes),
        ("num_counterfactuals", num_counterfactuals, 0),
        ("num_shown", num_shown, 0),
    ):
        if value < least:
            raise InputError(f"{key}={value}: expected at least {least}")
    protocol = build(evaluation)
    pairs = build(data["pairs"])
    indices = chosen(pairs, split, val_fraction, seed, num_volumes, num_real)
    folder = writable_folder(output)
    work = folder / "work"
    model = TextToCT.load(weights, device, cache_dir, t5)
    metrics = [*MEASURED, *(["clip_score"] if clip_score["model"] is not None else [])]
    tools = load_tools(metrics, {"fid": fid, "fvd": fvd}, clip_score, str(model.device), str(work / "features"))
    options = TokenOptions(**tokens)
    started = time.monotonic()
    with bars() as show:
        sampled = sample(
            model,
            pairs,
            indices,
            work,
            num_generated=num_volumes,
            seed=seed,
            tokens=options,
            upscale=UpscaleOptions(**upscale),
            show=show,
            say=print,
        )
        rows = [measure_method(method, work, protocol, tools, say=print, progress=show) for method in METHODS]
        require_comparable(rows)
        findings, shown_pairs = list[FindingRow](), list[ShownPair]()
        if isinstance(pairs, PhantomPairs):
            show("detectors of findings", 0, 1)
            kept = work / f"detectors-{key_of(num_fit, pairs.fingerprint(indices[0]))[:12]}.npz"
            fitted = fitted_detectors(model.preset.grid, num_fit, kept)
            show("detectors of findings", 1, 1)
            real, made = sampled.paths[REAL_LOWRES], sampled.paths[GENERATED_LOWRES]
            findings = measure_findings(fitted, pairs, indices, real, made)
            prompts = counterfactuals(num_counterfactuals, COUNTERFACTUAL_SEED, wording)
            changed = sample_counterfactuals(
                model, prompts, work / "counterfactual", seed=seed, tokens=options, show=show
            )
            shown_pairs = measure_pairs(prompts, changed, fitted)

    notices = [SYNTHETIC, *dict.fromkeys(n for n in (model.notice, getattr(pairs, "notice", None)) if n)]
    lines = caption(rows, notices, {} if tools.clip is not None else {"clip_score": NO_CLIP})
    hashes = {f"weights, {stage}": sha256 for stage, sha256 in model.hashes.items()}
    hashes |= {
        f"detector of {kind}, {detector.record.name}": detector.record.sha256
        for kind, detector in tools.detectors.items()
    }
    hashes |= {f"files of {row.method}": row.results["fid"].fake_files_sha256 for row in rows}
    hashes |= {f"real files of {row.method}": str(row.results["fid"].real_files_sha256) for row in rows}
    hashes |= {f"version of {name}": version for name, version in software_versions().items()}
    report = Report(
        rows=rows,
        caption=lines[len(notices) :],
        notices=notices,
        facts=facts(model, weights, num_volumes, len(indices), protocol.name),
        histograms=histograms(sampled),
        findings=findings,
        no_findings=NO_CLASSIFIER,
        pairs=shown_pairs,
        exhibits=exhibits(sampled, num_shown),
        settings=settings,
        hashes=hashes,
    )
    paths = write_table(folder, report, lines)
    show_table(rows, lines, Console(width=TABLE_WIDTH))
    print(f"took {duration(time.monotonic() - started)}; wrote {' '.join(map(str, paths))}")


def facts(model: TextToCT, weights: Any, num_made: int, num_real: int, protocol: str) -> dict[str, str]:
    """The line at the top of the page."""
    low, high = model.preset.grid.shape_zyx, model.preset.upscaled_grid.shape_zyx
    return {
        "Weights": weights if isinstance(weights, str) else "a file for each stage",
        "Volumes of each method": f"{num_made:,}",
        "Real volumes": f"{num_real:,}",
        "Preset": protocol,
        "Slices": f"{low[0]} × {low[1]}² → {high[1]}²",
    }


def histograms(sampled: Sampled) -> dict[str, tuple[Any, Any]]:
    """HU shares of real and of its own volumes, for each method."""
    real = {kind: mean_histogram(sampled.paths[kind]) for kind in (REAL_LOWRES, REAL)}
    return {method.name: (real[method.real], mean_histogram(sampled.paths[method.fake])) for method in METHODS}


def exhibits(sampled: Sampled, num: int) -> list[Exhibit]:
    """The first volumes, to look at."""
    kinds = {"Real": REAL, "Reconstruction": RECONSTRUCTED, "Generated": GENERATED}
    count = min(num, len(sampled.paths[GENERATED]))
    return [
        Exhibit(
            sampled.names[index],
            sampled.prompts[index],
            {title: sampled.paths[kind][index] for title, kind in kinds.items()},
        )
        for index in range(count)
    ]
