"""The Hugging Face Hub: the published weights down, models of our own up and down.

All of it goes through `huggingface_hub`: its cache and locks, its progress bars, its login, its `HF_*` variables. A
connection that breaks is taken up where it broke; a process that is killed begins that file anew. Where the Hub does
not answer, its cache alone is looked into.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from generatect import __version__
from generatect.errors import InputError
from generatect.hub_access import silence

RELEASED = "generatect/GenerateCT"
RELEASED_FOLDER = "pretrained_models"
# Its address is huggingface.co/generatect/GenerateCT; a dataset's would have datasets/ before the name.
REPO_TYPE = "model"
# All that is ever fetched or sent: a name that turns out to be of another's model costs no gigabytes.
MODEL_FILES = ("ctvit.safetensors", "transformer.safetensors", "superres.safetensors", "config.json", "README.md")
_CHECKPOINTS = (".safetensors", ".ckpt", ".pt")


def is_model_id(text: str) -> bool:
    """Whether a model on the Hub can have this name: ORG/NAME, and not the name of a checkpoint."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.count("/") == 1 and not text.endswith(_CHECKPOINTS)


def fetch_released(stage: str) -> Path:
    """The file of one stage as the GenerateCT authors publish it; without a network, from the Hub's cache.

    Returns:
        A path that ends in `COMMIT/pretrained_models/STAGE_pretrained.pt`.

    Raises:
        InputError: neither in the cache nor to be had, or no room for it.
    """
    from huggingface_hub import hf_hub_download, hf_hub_url

    name = f"{stage}_pretrained.pt"
    where = {"repo_id": RELEASED, "filename": name, "subfolder": RELEASED_FOLDER, "repo_type": REPO_TYPE}
    with _one_line(
        f"weights=released: no {name} from {hf_hub_url(**where)}",
        "use weights=released with a network, or weights=FOLDER with the three published files in it",
    ):
        return Path(hf_hub_download(**where, local_files_only=silence() is not None))


def fetch_model(repo_id: str) -> Path:
    """The folder of a model that `push_folder` sent; without a network, from the Hub's cache.

    Raises:
        InputError: neither in the cache nor to be had, no room for it, or a model that is not ours.
    """
    from huggingface_hub import snapshot_download

    require_model_id(repo_id, "weights")
    what = f"weights={repo_id}: no such file here, and no model of ours from {_address(repo_id)}"
    todo = "name a checkpoint that a training wrote, or its folder, or a model on the Hub"
    with _one_line(what, todo):
        only_cached, patterns = silence() is not None, list(MODEL_FILES)
        folder = Path(
            snapshot_download(repo_id, repo_type=REPO_TYPE, allow_patterns=patterns, local_files_only=only_cached)
        )
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{what} (it holds no STAGE.safetensors); {todo}")
    return folder


def fetch_file(repo_id: str, filename: str, setting: str) -> Path:
    """One file of a model on the Hub, fetched once; without a network, from the Hub's cache.

    Args:
        repo_id: ORG/NAME.
        filename: path within it.
        setting: what named it, for the message.

    Raises:
        InputError: neither in the cache nor to be had, or no room for it.
    """
    from huggingface_hub import hf_hub_download

    require_model_id(repo_id, setting)
    with _one_line(
        f"{setting}: no {filename} from {_address(repo_id)}",
        "check the name and the network, or name a local file",
    ):
        only_cached = silence() is not None
        return Path(hf_hub_download(repo_id, filename, repo_type=REPO_TYPE, local_files_only=only_cached))


def push_folder(folder: Path, repo_id: str, private: bool | None = None) -> str:
    """Sends a folder that `write_model_folder` wrote to the Hub, and returns the model's address.

    Args:
        folder: only the files of a model are sent.
        repo_id: ORG/NAME; created where there is none yet.
        private: whom a new model can be seen by; None: as is usual for ORG.

    Raises:
        InputError: no such name can be, or the Hub does not take it.
    """
    from huggingface_hub import HfApi

    require_model_id(repo_id, "push_to")
    api = HfApi()
    with _one_line(
        f"push_to={repo_id}: {_address(repo_id)} did not take {folder}",
        "log in with `hf auth login` as somebody who may write there, and try again",
    ):
        if (reason := silence()) is not None:
            raise OSError(reason)
        api.create_repo(repo_id, repo_type=REPO_TYPE, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            repo_type=REPO_TYPE,
            folder_path=folder,
            allow_patterns=list(MODEL_FILES),
            commit_message=f"generatect {__version__}",
        )
    return _address(repo_id)


def require_model_id(repo_id: str, setting: str) -> None:
    """Proves a name before time is spent on what goes there.

    Raises:
        InputError: no model on the Hub can have this name.
    """
    if not is_model_id(repo_id):
        raise InputError(f"{setting}={repo_id}: expected ORG/NAME as on the Hub, of letters, digits and -_.")


def _address(repo_id: str) -> str:
    from huggingface_hub import HfApi

    return f"{HfApi().endpoint}/{repo_id}"


@contextlib.contextmanager
def _one_line(what: str, todo: str) -> Iterator[None]:
    from huggingface_hub.errors import HTTPError  # the root of what its HTTP client raises

    try:
        yield
    except (OSError, HTTPError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} ({_reason(error)}); {todo}") from error


def _reason(error: BaseException) -> str:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalEntryNotFoundError) and (reason := silence()) is not None:
        return reason
    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # it says "not in the cache" at length, its cause why there was nothing else
    if isinstance(error, OfflineModeIsEnabled):
        return "not in the Hub's cache, and HF_HUB_OFFLINE is set"
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        return f"it answers {code}" + (": does not exist, or needs `hf auth login`" if code in (401, 403) else "")
    return " ".join(str(error).split())[:200] or type(error).__name__
