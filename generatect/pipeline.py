"""The three stages as one: text → tokens → volume → full-resolution volume."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from generatect.checkpoints.hub import push_folder, require_model_id
from generatect.checkpoints.model_folder import write_model_folder
from generatect.checkpoints.stage_file import STAGES, read_stage_file
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.options import TokenOptions, UpscaleOptions
from generatect.placement import pick_device
from generatect.stage_models import LowresModel, UpscaleModel
from generatect.stage_parts import decoder_parts, read_stages, shared_parts, slice_parts, token_parts

__all__ = ["TextToCT", "TokenOptions", "UpscaleOptions", "pick_device"]


@dataclass(frozen=True, kw_only=True)
class TextToCT(LowresModel, UpscaleModel):
    """All three stages, ready to sample."""

    @classmethod
    def load(
        cls,
        weights: str | Mapping[str, str],
        device: str = "auto",
        cache_dir: str | None = None,
        t5: str | None = None,
    ) -> "TextToCT":
        """Loads three stages that belong together.

        Args:
            weights: see `find_weights`.
            device: auto, cpu, cuda, ….
            cache_dir: folder of text features of frozen encoders and of converted files; None: no features are kept.
            t5: Hub id or folder of the T5 in place of the one that the weights name.

        Raises:
            InputError: a file is missing or of another stage, or the stages were not trained on one tokenizer.
        """
        files, where = read_stages(weights, STAGES, cache_dir), pick_device(device)
        tokens = decoder_parts(files, where) | token_parts(files, where, cache_dir, t5)
        return TextToCT(**shared_parts(files, where), **tokens, **slice_parts(files, where, cache_dir, t5))

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, device: str = "auto", cache_dir: str | None = None, t5: str | None = None
    ) -> "TextToCT":
        """Loads a model on the Hub (ORG/NAME), a folder of `save_pretrained`, "released" or "phantom"; see `load`.

        Raises:
            InputError: as `load`.
        """
        return cls.load(str(name_or_folder), device, cache_dir, t5)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> list[Path]:
        """Writes the three stages, `config.json` and a model card, and returns their paths.

        Args:
            folder: where to; made where there is none.
            half: store fp16, half the size.

        Raises:
            InputError: the folder cannot be written, or a file that this model was loaded from is no longer the same.
        """
        return self._write(writable_folder(folder, "folder"), half)

    def push_to_hub(self, repo_id: str, private: bool | None = None, half: bool = False) -> str:
        """Sends what `save_pretrained` writes to the Hub, and returns the model's address there.

        Args:
            repo_id: ORG/NAME; created where there is none yet.
            private: whom a new model can be seen by; None: as is usual for ORG.
            half: store fp16, half the size.

        Raises:
            InputError: the Hub does not take it, or a file that this model was loaded from is no longer the same.
        """
        require_model_id(repo_id, "repo_id")
        with TemporaryDirectory() as folder:
            self._write(Path(folder), half, repo_id)
            return push_folder(Path(folder), repo_id, private)

    def _write(self, folder: Path, half: bool, repo_id: str | None = None) -> list[Path]:
        files = {stage: read_stage_file(path, stage) for stage, path in self.paths.items()}
        for stage, file in files.items():
            if file.sha256 != self.hashes[stage]:
                raise InputError(f"{file.path}: is another file than this model was loaded from; load it again")
        return write_model_folder(list(files.values()), folder, half, repo_id)
