"""`python -m generatect.export weights=DIR output=DIR half=true`: a model's stages in one folder."""

from generatect.checkpoints.stage_file import STAGES, write_stage_file
from generatect.checkpoints.weights import find_weights
from generatect.config.command import run_command
from generatect.files import writable_folder


def export(*, weights: str | dict[str, str], output: str, half: bool) -> None:
    """Writes `STAGE.safetensors` for every stage, weights and description alone, without the state of training.

    Args:
        weights: as everywhere; a `.ckpt` gives its averaged weights where it has them.
        output: folder of the results.
        half: store fp16, half the size; computing stays in fp32.

    Raises:
        InputError: a stage is missing, or the folder cannot be written.
    """
    files = [find_weights(weights, stage) for stage in STAGES]
    folder = writable_folder(output)
    for file in files:
        path = folder / f"{file.description['stage']}.safetensors"
        write_stage_file(path, file.description, file.state_to_use(), half=half)
        print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_command("export", export)
