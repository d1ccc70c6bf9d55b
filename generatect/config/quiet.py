"""Keeps third-party chatter off the terminal. Where it says something that matters, our own output says it."""

import logging
import warnings

# Beginnings of warnings, and why nobody needs them.
SILENCED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's use of torch
    "The number of training batches",  # fewer steps than one logging interval
    "Total length of `list` across ranks is zero",  # no validation: the summary says so
    "The '.*_dataloader' does not have many workers",  # a choice, and often the faster one
    "You're resuming from a checkpoint that ended before the epoch ended",  # our sampler knows its position
    "Experiment logs directory .* exists and is not empty",  # a resumed run goes on in its folder
    "`broadcast_buffers` is deprecated",  # its successor cannot be told apart by releases that do not have it
    "Grad strides do not match bucket view strides",  # of a convolution with one channel, costs nothing to speak of
    "FSDP2-wrapped module .* returned a view tensor",  # nobody changes it in place
    "The `srun` command is available on your system but is not used",  # a machine may have SLURM, and a run not need it
    r"Detected call of `lr_scheduler\.step\(\)` before",  # a first step left out; the schedule counts batches
)


def quiet() -> None:
    """Silences Lightning's banners, requests to the Hub, errors that Hydra logs and raises, and the warnings above."""
    for name in ("lightning.pytorch", "lightning.fabric", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)
    for message in SILENCED:
        warnings.filterwarnings("ignore", message=message)
