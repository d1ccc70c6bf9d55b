"""Which names are asked of the Hugging Face Hub, and whether it answers."""

import difflib
import functools
import re
import threading
from pathlib import Path

HUB = "hf://"
"""Before ORG/NAME: this is a model on the Hub, whatever is here."""
ANSWER_S = 5.0
"""So long the Hub may take to answer at all."""

# Where commands and people keep files; nobody is asked for such a name.
_FOLDERS = ("outputs", "models", "weights", "checkpoints", "runs", "results", "logs", "data", "experiments")
_ALIKE = 0.75
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".json", ".zip")


def model_id(name: str) -> str | None:
    """The ORG/NAME that is asked of the Hub for `name`; None where it means a place on this machine.

    A path never leaves the machine, nor does a mistyped one: it may hold what nobody else shall read. `hf://ORG/NAME`
    is always the Hub's. Plain ORG/NAME is, unless the folder ORG is here, or one of nearly that name, or ORG is what
    folders of files are called, such as "outputs".
    """
    if name.startswith(HUB):
        return name.removeprefix(HUB)
    if not _ID.fullmatch(name) or name.endswith(_FILES) or Path(name).exists():
        return None
    organisation = name.partition("/")[0]
    here = [path.name.lower() for path in Path().iterdir() if path.is_dir()]
    is_alike = difflib.get_close_matches(organisation.lower(), [*here, *_FOLDERS], n=1, cutoff=_ALIKE)
    return None if is_alike else name


def not_asked(name: str) -> str:
    """What to add to the refusal of a name that looks like ORG/NAME, but was taken for a path."""
    if not _ID.fullmatch(name) or name.endswith(_FILES):
        return ""
    return f"; it looks like a path, so the Hub was not asked: for a model there say {HUB}{name}"


@functools.cache
def silence() -> str | None:
    """Why the Hub cannot be reached, None where it can; asked once in a process, and for `ANSWER_S` at most.

    Its own client would try for minutes. Whoever chose `HF_HUB_OFFLINE` is not asked about.
    """
    from huggingface_hub import constants, get_session, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        return None  # its client says so by itself
    reasons = [f"no answer within {ANSWER_S:g} s"]

    def ask() -> None:
        try:
            get_session().head(hf_hub_url("google/t5-v1_1-base", "config.json"), timeout=ANSWER_S)
            reasons.clear()
        except Exception as error:  # of its HTTP client, of the system, of a wrong setting
            reasons[:] = [" ".join(str(error).split())[:160] or type(error).__name__]

    asking = threading.Thread(target=ask, daemon=True)  # looking up an address knows no limit of time
    asking.start()
    asking.join(ANSWER_S + 1)
    return reasons[0] if reasons else None
