"""Going on from a Lightning checkpoint, whenever in its run it was written."""

from typing import Any

from generatect.errors import InputError


def steps_done(checkpoint: dict[str, Any]) -> int:
    """Training batches that a checkpoint's weights have seen."""
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]


def go_on(checkpoint: dict[str, Any], num_steps: int) -> None:
    """Makes a checkpoint look like one written between two batches, in place.

    A run is one epoch of `num_steps` batches. Lightning would start a new epoch after a checkpoint from a run's end,
    and validate anew or skip a batch after one from within a batch or a validation; the weights mean the same in all
    of them: so many batches are done.

    Raises:
        InputError: nothing is left to do.
    """
    done = steps_done(checkpoint)
    if done >= num_steps:
        raise InputError(f"resume: its {done} steps are done, steps={num_steps} leaves none; raise steps")
    loops = checkpoint["loops"]["fit_loop"]
    _set(loops["epoch_progress"], {"ready": 1, "started": 1, "processed": 0, "completed": 0})
    _set(loops["epoch_loop.batch_progress"], dict.fromkeys(("ready", "started", "processed", "completed"), done))
    loops["epoch_loop.batch_progress"]["is_last_batch"] = False
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = done
    validation = loops["epoch_loop.val_loop.batch_progress"]
    _set(validation, dict.fromkeys(("ready", "started", "processed", "completed"), 0))
    validation["is_last_batch"] = False


def _set(progress: dict[str, Any], values: dict[str, int]) -> None:
    progress["total"], progress["current"] = dict(values), dict(values)
