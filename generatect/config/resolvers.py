"""What our YAML may compute: the OmegaConf resolvers."""

from pathlib import Path

from omegaconf import OmegaConf


def config_folder() -> Path:
    """Folder of the Hydra groups: beside the package in a checkout, inside it in a wheel."""
    return _shipped("conf")


def experiments_parent() -> Path:
    """Folder that holds `experiments/`; on Hydra's search path it makes `experiments=NAME` a group."""
    return _shipped("experiments").parent


def register_resolvers() -> None:
    """Registers `${generatect_root:}`; harmless when repeated."""
    OmegaConf.register_new_resolver("generatect_root", lambda: str(experiments_parent()), replace=True)


def _shipped(name: str) -> Path:
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
