"""`python -m generatect.prove weights=DIR output=DIR`: what phantom weights reach on phantoms they never met."""

import json
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from generatect import __version__
from generatect.config.check import check_arguments
from generatect.config.command import run_command
from generatect.ct.intensity import model_to_hu
from generatect.ct.preview import comparison
from generatect.files import atomic_path, writable_folder
from generatect.metrics.auroc import Auroc
from generatect.phantom import proof
from generatect.phantom.detectors import Detectors
from generatect.phantom.findings import FINDINGS
from generatect.phantom.pairs import PhantomPairs
from generatect.phantom.report import sample_prompts
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.progress import bars

TABLE_WIDTH = 150  # seven columns, four of them with intervals
# Series of phantoms: training uses small seeds, and series share no case.
HELD_OUT_SEED, PROMPT_SEED, DETECTOR_SEED, MEAN_IMAGE_SEED = 901, 902, 900, 903


def prove(
    *,
    weights: str | dict[str, str],
    output: str,
    device: str,
    tokens: dict[str, Any],
    upscale: dict[str, Any],
    num_volumes: int,
    num_superres: int,
    num_prompts: int,
    num_fit: int,
    wording: str,
    batch_size: int,
    cache_dir: str,
) -> None:
    """Measures tokenizer, super-resolution, detectors and text obedience; prints tables, writes `proof.json`.

    Args:
        weights: as everywhere.
        output: folder of `proof.json` and of pictures.
        device: auto, cpu, cuda, ….
        tokens: how tokens are sampled.
        upscale: how slices are refined.
        num_volumes: held-out phantoms for tokenizer and detectors.
        num_superres: held-out phantoms for super-resolution.
        num_prompts: held-out prompts; about half name each finding.
        num_fit: phantoms that the detectors are fitted on.
        wording: of the prompts; "development" while a recipe is sought, "heldout" for what is reported.
        batch_size: prompts sampled at a time.
        cache_dir: folder of text features of frozen encoders.
    """
    check_arguments(TokenOptions, tokens, "tokens")
    check_arguments(UpscaleOptions, upscale, "upscale")
    folder = writable_folder(output)
    model = TextToCT.load(weights, device, cache_dir)
    preset = model.preset
    pairs = PhantomPairs(num=num_volumes, seed=HELD_OUT_SEED, wording="heldout")
    with bars() as show:
        mean_pairs = PhantomPairs(num=300, seed=MEAN_IMAGE_SEED)
        mean_image = torch.stack([mean_pairs.model_input(i, preset) for i in range(len(mean_pairs))]).mean(0)
        num_codes = model.tokenizer.quantizer.num_codes
        tokenizer, reconstructions = proof.measure_tokenizer(
            model.tokenizer, pairs, preset, mean_image, num_codes, model.device, show
        )
        options = UpscaleOptions(**upscale)
        superres = proof.measure_superres(
            lambda lowres, text, seed: model.upscale(lowres, text, seed, options),
            PhantomPairs(num=num_superres, seed=HELD_OUT_SEED, wording="heldout"),
            preset,
            show,
        )
        show("detectors", 0, 1)
        detectors = Detectors.fit(preset.grid, num=num_fit, seed=DETECTOR_SEED)
        show("detectors", 1, 1)
        true_volumes = np.stack([model_to_hu(pairs.model_input(i, preset))[0].numpy() for i in range(len(pairs))])
        reports = sample_prompts(num_prompts, PROMPT_SEED, wording, prevalence=0.5)
        generated = []
        for start in range(0, num_prompts, batch_size):
            texts = [report.text for report in reports[start : start + batch_size]]
            volumes = model.sample_lowres(texts, start, TokenOptions(**tokens))
            generated.append(model_to_hu(volumes.float().cpu())[:, 0].numpy())
            show("generated", min(start + batch_size, num_prompts), num_prompts)
    generated_hu = np.concatenate(generated)
    result = {
        "weights_sha256": model.hashes,
        "notice": model.notice,
        "versions": {"generatect": __version__, "torch": torch.__version__},
        "settings": {
            "tokens": tokens,
            "upscale": upscale,
            "num_prompts": num_prompts,
            "num_fit": num_fit,
            "wording": wording,
        },
        "tokenizer": tokenizer,
        "superres": superres,
        "detectors_on_phantoms": _plain(proof.measure_detectors(detectors, pairs, true_volumes)),
        "detectors_on_reconstructions": _plain(proof.measure_detectors(detectors, pairs, reconstructions)),
        "obedience": {
            name: _plain(row) for name, row in proof.measure_obedience(detectors, reports, generated_hu, 0).items()
        },
    }
    with atomic_path(folder / "proof.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for index in range(min(4, num_prompts)):
        volume = preset.to_volume(torch.from_numpy(generated_hu[index]) / 1000)
        comparison({"generated": volume}, folder / f"generated-{index}.png", reports[index].text)
    show_tables(result, Console(width=TABLE_WIDTH))
    print(f"wrote {folder / 'proof.json'}")


def show_tables(result: dict[str, Any], console: Console) -> None:
    """The numbers as a reader wants them."""
    tokenizer, superres = result["tokenizer"], result["superres"]
    console.print(
        f"CT-ViT, {tokenizer['num_volumes']} held-out phantoms: PSNR {tokenizer['psnr_db']:.1f} dB "
        f"(mean image {tokenizer['mean_image_psnr_db']:.1f}), {tokenizer['codes_used']:.0%} of the codes used, "
        f"perplexity {tokenizer['perplexity']:.0f}"
    )
    console.print(
        f"Super-resolution, {superres['num_volumes']} held-out phantoms, against the noise-free truth: "
        f"PSNR {superres['superres_psnr_db']:.1f} dB (trilinear {superres['trilinear_psnr_db']:.1f}, "
        f"bicubic {superres['bicubic_psnr_db']:.1f})"
    )
    table = Table(title="AUROC [95 % interval] of each finding's detector", box=box.SIMPLE_HEAD)
    columns = ("true phantoms", "reconstructions", "named / denied", "shuffled", "same side", "other side")
    table.add_column("finding", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name in FINDINGS:
        row = result["obedience"][name]
        cells = [
            f"{result['detectors_on_phantoms'][name]['value']:.3f}",
            f"{result['detectors_on_reconstructions'][name]['value']:.3f}",
            *(_cell(row.get(key)) for key in ("obedience", "shuffled", "same side", "other side")),
        ]
        table.add_row(name, *cells)
    console.print(table)


def _cell(value: dict[str, float] | None) -> str:
    return "" if value is None else f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def _plain(values: dict[str, Auroc]) -> dict[str, dict[str, float]]:
    return {key: value._asdict() for key, value in values.items()}


if __name__ == "__main__":
    run_command("prove", prove)
