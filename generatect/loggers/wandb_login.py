"""Whether Weights & Biases will accept this machine, found out without asking it or the user."""

import netrc
import os
from pathlib import Path

from generatect.errors import InputError


def require_login(mode: str) -> None:
    """Refuses online logging on a machine where nobody has logged in: W&B would ask at the terminal and wait.

    Args:
        mode: "online", "offline" or "disabled".

    Raises:
        InputError: saying how to log in and how to do without.
    """
    if mode == "online" and not _has_login():
        raise InputError(
            "logger.wandb.mode=online: nobody is logged in to W&B on this machine; run `wandb login`, set "
            "WANDB_API_KEY, or choose logger.wandb.mode=offline and upload later with `wandb sync`"
        )


def _has_login() -> bool:
    """A key in the environment, or an entry as `wandb login` writes it, of whichever server."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            entries = netrc.netrc(str(path)).hosts
        except (OSError, netrc.NetrcParseError):
            continue
        if any(login == "user" and key for login, _, key in entries.values()):
            return True
    return False
