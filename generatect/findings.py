"""What a trained classifier finds in a CT."""

from dataclasses import dataclass
from pathlib import Path

import torch

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import read_stage_of
from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.networks.ctnet import CTNet


@dataclass(frozen=True)
class Classifier:
    """A trained CT-Net, and how a CT comes onto its grid.

    Attributes:
        network: in eval mode.
        preset: the one that it was trained with.
        sha256: of its file.
        device: where it computes.
    """

    network: CTNet
    preset: Preset
    sha256: str
    device: torch.device

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of what it looks for."""
        return self.network.labels


def load_classifier(path: str | Path, device: torch.device | str = "cpu", setting: str = "classifier") -> Classifier:
    """Reads what `python -m generatect.train stage=ctnet` wrote.

    Args:
        path: a `ctnet.safetensors`, a `.ckpt` of such a training, or its folder.
        device: where it shall compute.
        setting: the configuration key to name when it cannot be used.

    Raises:
        InputError: no such file, or one of another stage.
    """
    file, where = read_stage_of(path, "ctnet", setting), torch.device(device)
    network = rebuild_network(file, "ctnet")
    assert isinstance(network, CTNet)
    return Classifier(network.to(where), rebuild_preset(file), file.sha256, where)


@torch.inference_mode()
def findings(classifier: Classifier, volume: CTVolume) -> dict[str, float]:
    """Probability of each label in a CT in HU on any grid.

    Args:
        classifier: see `load_classifier`.
        volume: brought onto the classifier's grid as its training data were.
    """
    seen = classifier.preset.to_model(volume)[None].to(classifier.device)
    probabilities = classifier.network(seen)[0].float().sigmoid().tolist()
    return dict(zip(classifier.labels, probabilities, strict=True))
