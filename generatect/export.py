"""`python -m generatect.export weights=DIR output=DIR half=true`: a model as one folder, here and on the Hub."""

from generatect.checkpoints.hub import push_folder, require_model_id
from generatect.checkpoints.model_folder import write_model_folder
from generatect.checkpoints.stage_file import STAGES
from generatect.checkpoints.weights import find_weights
from generatect.config.command import run_command
from generatect.files import writable_folder
from generatect.progress import size


def export(
    *,
    weights: str | dict[str, str],
    output: str,
    half: bool,
    push_to: str | None,
    private: bool | None,
    cache_dir: str,
) -> None:
    """Writes `STAGE.safetensors` for every stage, `config.json` and a model card, and sends them if wanted.

    Args:
        weights: as everywhere; a `.ckpt` gives its averaged weights where it has them.
        output: folder of the results.
        half: store fp16, half the size; computing stays in fp32.
        push_to: ORG/NAME on the Hub, created where there is none yet; None: the folder alone.
        private: whom a new model there can be seen by; None: as is usual for ORG.
        cache_dir: folder of converted files.

    Raises:
        InputError: a stage is missing, the folder cannot be written, or the Hub does not take it.
    """
    if push_to is not None:
        require_model_id(push_to, "push_to")
    files = [find_weights(weights, stage, cache_dir) for stage in STAGES]
    folder = writable_folder(output)
    for path in write_model_folder(files, folder, half, push_to):
        print(f"wrote {path}, {size(path.stat().st_size)}")
    if push_to is not None:
        print(f"sent to {push_folder(folder, push_to, private)}")


if __name__ == "__main__":
    run_command("export", export)
