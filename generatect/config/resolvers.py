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
    """Registers `${generatect_root:}`, `${token_grid:…}` and `${divide:a,b}`; harmless when repeated."""
    OmegaConf.register_new_resolver("generatect_root", lambda: str(experiments_parent()), replace=True)
    OmegaConf.register_new_resolver("token_grid", _token_grid, replace=True)


def _token_grid(num_slices: int, size: int, slice_patch_size: int, patch_size: int) -> list[int]:
    """Token grid (t, h, w) of a volume: the first slice alone, then groups of `slice_patch_size`."""
    return [1 + (num_slices - 1) // slice_patch_size, size // patch_size, size // patch_size]


def _shipped(name: str) -> Path:
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
