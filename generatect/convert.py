"""`python -m generatect.convert source=FILE.pt output=FILE.safetensors`: the published files ↔ ours."""

from pathlib import Path

from generatect.checkpoints.convert import convert_file, write_original
from generatect.checkpoints.stage_file import read_stage_file
from generatect.checkpoints.weights import read_stage_of
from generatect.config.command import run_command
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.progress import size

DIRECTIONS = ("generatect", "original")


def convert(*, source: str, output: str, to: str, tokenizer: str | None, vgg: str | None) -> None:
    """Convert one file, keeping every tensor of its networks.

    Args:
        source: a published `*_pretrained.pt`, or with `to=original` a stage of ours.
        output: file to write.
        to: "generatect" or "original".
        tokenizer: with `to=original`, the tokenizer of a transformer that was trained here.
        vgg: with `to=original`, VGG16 weights for a tokenizer that was trained here.

    Raises:
        InputError: a direction that does not exist, or files that do not fit, see `convert_file` and `write_original`.
    """
    if to not in DIRECTIONS:
        raise InputError(f"to={to}: expected one of {', '.join(DIRECTIONS)}")
    source_path, output_path = Path(source).expanduser(), Path(output).expanduser()
    if source_path.exists() and output_path.exists() and source_path.samefile(output_path):
        raise InputError(f"output={output}: is the source itself; name another file")
    writable_folder(output_path.parent)
    if to == "generatect":
        stage = convert_file(source_path, output_path)
    else:
        file = read_stage_file(source_path, setting="source")
        stage = file.description["stage"]
        own = None if tokenizer is None else read_stage_of(tokenizer, "ctvit", "tokenizer")
        write_original(file, output_path, own, None if vgg is None else Path(vgg).expanduser())
    print(f"wrote {output_path}, stage {stage}, {size(output_path.stat().st_size)}")


if __name__ == "__main__":
    run_command("convert", convert)
