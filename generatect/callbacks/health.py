"""Says aloud what the curves of a sick training show too late."""

from collections.abc import Mapping

import lightning as L

SYMPTOMS = (
    (
        "val/codes_used",
        lambda share: share < 0.1,
        "the codebook collapses: {value:.0%} of its codes are used; see model.ctvit.revive_after",
    ),
    (
        "val/contrast",
        lambda ratio: ratio < 0.05,
        "reconstructions are of one grey: their contrast is {value:.1%} of the real; lower stage.module.optimizer.lr",
    ),
    (
        "train/discriminator",
        lambda loss: loss < 0.01,
        "the discriminator is silent: its hinge loss is {value:.3f}, the tokenizer learns nothing from it; lower "
        "stage.module.discriminator_optimizer.lr",
    ),
)
"""Metric, when it is a symptom, and what to say."""


class Health(L.Callback):
    """Prints a warning after a validation that shows a symptom, at its first and every tenth time."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the newest value of each metric."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        for warning in self.warnings(values):
            step = trainer.fit_loop.epoch_loop.batch_progress.current.processed
            print(f"warning, step {step}: {warning}")

    def warnings(self, values: Mapping[str, float]) -> list[str]:
        """What to say about these metrics."""
        found = []
        for metric, is_symptom, text in SYMPTOMS:
            if metric in values and is_symptom(values[metric]):
                if self._seen.get(metric, 0) % 10 == 0:
                    found.append(text.format(value=values[metric]))
                self._seen[metric] = self._seen.get(metric, 0) + 1
        return found
