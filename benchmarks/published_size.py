"""What the released networks cost at published size on this machine: time and peak memory of the real path.

    python benchmarks/published_size.py --output outputs/published_size --slices 4

The weights are random, since arithmetic costs the same whatever the numbers; the files have the published layout and go
through `generatect.convert` like the authors'. T5 is a random one of the published size, in a local folder. Each part
runs in a process of its own, so that its peak memory is its own. Nothing is fetched.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from generatect.checkpoints.convert import convert_file
from generatect.checkpoints.released_layout import layout_of
from generatect.checkpoints.stage_file import STAGES
from generatect.files import atomic_path
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions

PROMPT = "61 years old male: Large right pleural effusion. No nodule."
SCALE = 0.02  # of the random weights: activations stay finite
TOKENS = TokenOptions(steps=18, guidance=5.0, temperature=0.9)
UPSCALE = UpscaleOptions(steps=25, guidance=1.0, sampler="ancestral", slices_per_batch=1, correlated_noise=False)


def make_files(folder: Path) -> None:
    """The three files in the published layout, and T5; made once."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[str, torch.Tensor] = {}
    for stage in STAGES:
        for key, shape in layout_of(stage).items():
            if key not in drawn:
                drawn[key] = torch.randn(shape, generator=generator) * SCALE
        state = {key: drawn[key] for key in layout_of(stage)}
        if stage == "ctvit":  # the transformer's file holds a copy of its tokenizer
            drawn = {f"ctvit.{key}": value for key, value in drawn.items()}
        with atomic_path(folder / f"{stage}_pretrained.pt") as temporary:
            torch.save({"model": state} if stage == "superres" else state, temporary)
    make_t5(folder / "t5")


def make_t5(folder: Path) -> None:
    """An encoder of the size of t5-v1_1-base with random weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = ["<pad>", "</s>", "<unk>", *sorted(set(PROMPT.split()))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
    config = T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **sizes)
    T5EncoderModel(config).save_pretrained(folder)


def convert(stage: str, folder: Path, _slices: int) -> float:
    """One file through `convert_file`."""
    return timed(lambda: convert_file(folder / f"{stage}_pretrained.pt", folder / f"{stage}.safetensors"))


def sample(_name: str, folder: Path, _slices: int) -> float:
    """Report → tokens → low-resolution volume, kept for the upscaling."""
    model = TextToCT.load(str(folder), "cpu", str(folder / "cache"), t5=str(folder / "t5"))
    volumes = []
    seconds = timed(lambda: volumes.append(model.sample_lowres([PROMPT], 0, TOKENS)))
    assert volumes[0].shape == (1, 1, 201, 128, 128)
    assert volumes[0].isfinite().all()
    torch.save(volumes[0], folder / "lowres.pt")
    return seconds


def upscale(_name: str, folder: Path, slices: int) -> float:
    """Some slices of that volume at 512²."""
    model = TextToCT.load(str(folder), "cpu", str(folder / "cache"), t5=str(folder / "t5"))
    lowres = torch.load(folder / "lowres.pt", weights_only=True)[0, :, :slices]
    volumes = []
    seconds = timed(lambda: volumes.append(model.upscale(lowres, PROMPT, 0, UPSCALE)))
    assert volumes[0].shape == (1, slices, 512, 512)
    assert volumes[0].isfinite().all()
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def peak_gb() -> float:
    """Most memory that this process has held (Linux); `getrusage` would count that of the parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024 / 1e9  # type: ignore[index]


PARTS = {**{f"convert {stage}": convert for stage in STAGES}, "tokens and decoder": sample, "upscaling": upscale}


def run_part(part: str, folder: Path, slices: int) -> dict[str, float]:
    """Seconds and peak memory (GB) of one part, in a fresh process."""
    arguments = [sys.executable, __file__, "--output", str(folder), "--slices", str(slices), "--part", part]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """All parts one after the other, or the one that a parent process asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/published_size"), help="files and published_size.json"
    )
    parser.add_argument("--slices", type=int, default=4, help="slices to upscale")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.part:
        seconds = PARTS[settings.part](settings.part.split()[-1], settings.output, settings.slices)
        print(json.dumps({"seconds": seconds, "peak_gb": peak_gb()}))
        return

    settings.output.mkdir(parents=True, exist_ok=True)
    if not (settings.output / "t5" / "config.json").exists():
        make_files(settings.output)
    table = Table(
        "part", "seconds", "peak memory, GB", title=f"Published size, fp32, {torch.get_num_threads()} threads"
    )
    results = {}
    for part in PARTS:
        results[part] = run_part(part, settings.output, settings.slices)
        table.add_row(part, f"{results[part]['seconds']:.1f}", f"{results[part]['peak_gb']:.2f}")
    Console().print(table)
    content = {"slices": settings.slices, "threads": torch.get_num_threads(), "torch": torch.__version__, **results}
    with atomic_path(settings.output / "published_size.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {settings.output / 'published_size.json'}")


if __name__ == "__main__":
    main()
