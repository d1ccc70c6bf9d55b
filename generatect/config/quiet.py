"""Keeps third-party chatter off the terminal. Where it says something that matters, our own output says it."""

import logging
import warnings

# Beginnings of warnings, and why nobody needs them.
SILENCED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's use of torch
    "The number of training batches",  # fewer steps than one logging interval
    "Total length of `list` across ranks is zero",  # no validation: the summary says so
    r"`ModelCheckpoint\(monitor=",  # likewise: without validation there is no best checkpoint
    "The '.*_dataloader' does not have many workers",  # a choice, and often the faster one
    "You're resuming from a checkpoint that ended before the epoch ended",  # our sampler knows its position
    "The dirpath has changed from",  # a resumed run may write elsewhere
    "Experiment logs directory .* exists and is not empty",  # a resumed run goes on in its folder
    "Checkpoint directory .* exists and is not empty",  # likewise
    "`training_step` returned `None`",  # on purpose, and said: see `Stage.is_sound`
)


def quiet() -> None:
    """Silences Lightning's banners, requests to the Hub, errors that Hydra logs and raises, and the warnings above."""
    for name in ("lightning.pytorch", "lightning.fabric", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)
    for message in SILENCED:
        warnings.filterwarnings("ignore", message=message)
