"""Going on from a Lightning checkpoint, whenever in its run it was written."""

from pathlib import Path
from typing import Any

from generatect.checkpoints.safe_load import load_tensors
from generatect.errors import InputError

RUN_KEY = "generatect_run"
"""Where a checkpoint keeps the name of its run, which stays the same however often the run is resumed."""

_COUNTERS = ("ready", "started", "processed", "completed")


def steps_done(checkpoint: dict[str, Any]) -> int:
    """Training batches that a checkpoint's weights have seen."""
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]


def owes_validation(checkpoint: dict[str, Any], val_every: int) -> bool:
    """Whether a checkpoint is from before or within the validation that belongs to its last step.

    At the end of a batch it counts as processed and not yet as completed; so does a validation's.

    Args:
        checkpoint: as Lightning writes it.
        val_every: batches between validations.
    """
    loops = checkpoint["loops"]["fit_loop"]
    batches, validation = (loops[f"{name}.batch_progress"]["current"] for name in ("epoch_loop", "epoch_loop.val_loop"))
    is_unfinished = batches["processed"] > batches["completed"] or validation["processed"] > validation["completed"]
    return is_unfinished and steps_done(checkpoint) % val_every == 0


def is_finished(path: Path, num_steps: int, val_every: int) -> bool:
    """Whether a run of so many steps has nothing left to do after a checkpoint."""
    return _is_finished(load_tensors(path), num_steps, val_every)


def go_on(checkpoint: dict[str, Any], num_steps: int, val_every: int) -> None:
    """Makes a checkpoint look like one written between two batches, or before a validation, in place.

    A run is one epoch of `num_steps` batches. Lightning would start a new epoch after a checkpoint from a run's end,
    and repeat or skip a batch or a validation after one from within. The weights mean the same in all of them: so many
    batches are done, and a validation that belongs to the last one is done or still to be done, from its start.

    Raises:
        InputError: nothing is left to do.
    """
    done, owes = steps_done(checkpoint), owes_validation(checkpoint, val_every)
    if _is_finished(checkpoint, num_steps, val_every):
        raise InputError(f"resume: its {done} steps are done, steps={num_steps} leaves none; raise steps")
    loops = checkpoint["loops"]["fit_loop"]
    _set(loops["epoch_progress"], {"ready": 1, "started": 1, "processed": 0, "completed": 0})
    _set(loops["epoch_loop.batch_progress"], dict.fromkeys(_COUNTERS, done))
    loops["epoch_loop.batch_progress"]["is_last_batch"] = False
    # What loggers count by: Lightning adds the last one when it has dealt with the validation after it.
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = done - 1 if done % val_every == 0 else done
    validation = loops["epoch_loop.val_loop.batch_progress"]
    begun = 1 if owes else 0
    _set(validation, {"ready": begun, "started": begun, "processed": 0, "completed": 0})
    validation["is_last_batch"] = False


def _is_finished(checkpoint: dict[str, Any], num_steps: int, val_every: int) -> bool:
    done = steps_done(checkpoint)
    return done > num_steps or (done == num_steps and not owes_validation(checkpoint, val_every))


def _set(progress: dict[str, Any], values: dict[str, int]) -> None:
    progress["total"], progress["current"] = dict(values), dict(values)
