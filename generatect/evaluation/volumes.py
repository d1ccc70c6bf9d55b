"""A folder of volumes as evaluation sees it: files of one grid, their hashes, their prompts."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from generatect.ct.arrays import RECOGNISED, ArrayForm, read_array, read_array_header
from generatect.ct.grid import Grid
from generatect.ct.intensity import HU_RANGE
from generatect.ct.nifti import read_header
from generatect.ct.orientation import closest_order
from generatect.ct.resample import resample_to_grid
from generatect.ct.scan import AS_STATED, Reading
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import ARRAY, is_volume_file, volume_name
from generatect.data.stamp import Stamp, require_unchanged, stamp_of
from generatect.errors import InputError
from generatect.evaluation.folder_prompts import (
    gather_folder_prompts,
    one_set_of_weights,
    read_sidecars,
    require_listed,
)
from generatect.files import sha256_of_file

MAX_LISTED = 5
SAME_SPACING = 1e-3


@dataclass(frozen=True)
class EvaluatedVolume:
    """One file.

    Attributes:
        path: NIfTI, or an array in `.npz`.
        name: its file name without suffix; a volume of the other folder with this name is its partner.
        sha256: of the file.
        stamp: of the file, taken before its hash; see `stamp_of`.
        grid: shape and spacing of the canonical volume.
        prompt: what it was made from, or its report; None where nothing says it.
        arrays: what is stated of arrays.
        reading: how its file is read.
    """

    path: Path
    name: str
    sha256: str
    stamp: Stamp
    grid: Grid
    prompt: str | None
    arrays: ArrayForm = RECOGNISED
    reading: Reading = AS_STATED

    def read(self) -> CTVolume:
        """The volume as it is stored.

        Raises:
            InputError: whatever keeps it from being one CT volume, NaN among it, or the file has changed since its
                hash was made.
        """
        is_array = self.path.name.endswith(ARRAY)
        volume = read_array(self.path, self.arrays)[0] if is_array else self.reading.read(self.path).volume
        require_unchanged(self.path, self.stamp)
        return volume

    def read_hu(self, grid: Grid | None = None) -> Shaped[np.ndarray, "z y x"]:
        """Its voxels in HU, on a grid; see `read` and `on_grid`."""
        return on_grid(self.read(), grid)


@dataclass(frozen=True)
class EvaluatedFolder:
    """The volumes of a folder, in the order of their names.

    Attributes:
        setting: "real" or "fake".
        folder: where they lie.
        volumes: at least one.
        weights: stage → hash of the weights that made them, where their sidecars say it.
    """

    setting: str
    folder: Path
    volumes: tuple[EvaluatedVolume, ...]
    weights: dict[str, str] | None

    @property
    def sha256(self) -> str:
        """Hash of all names and contents."""
        lines = "".join(f"{volume.sha256}  {volume.name}\n" for volume in self.volumes)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def grid(self) -> Grid:
        """The grid of the first volume; of all, once `require_one_grid` has passed."""
        return self.volumes[0].grid


def on_grid(volume: CTVolume, grid: Grid | None) -> Shaped[np.ndarray, "z y x"]:
    """Voxels of a volume, resampled in millimetres about its centre where another grid than its own is asked for."""
    if grid is None or _alike(Grid(volume.shape_zyx, volume.spacing_mm_zyx), grid):
        return volume.voxels_hu
    return resample_to_grid(volume, grid, clip_hu=HU_RANGE).voxels_hu


def read_folder(
    folder: str | Path, setting: str, arrays: ArrayForm = RECOGNISED, reading: Reading = AS_STATED
) -> EvaluatedFolder:
    """Looks at every header, sidecar and table of a folder; no voxel is read.

    Prompts come from sidecars `NAME.json`, as `generate` writes them, or from a table beside the volumes
    (`reports.csv`, `prompts.csv` or `table.csv`) with columns volume or name, and text or prompt.

    Args:
        folder: searched for `.nii.gz` and `.nii`, in capitals, too, not deeper; hidden files are passed over.
        setting: what named it, for messages: "real" or "fake".
        arrays: what is stated of `.npz`, which may lie there in the place of NIfTI.
        reading: how NIfTI is read.

    Raises:
        InputError: no such folder, none or unreadable volumes, prompts whose volume is missing, or volumes that
            different weights made.
    """
    where = Path(folder).expanduser()
    if not where.is_dir():
        raise InputError(f"{setting}={folder}: no such folder; name one with .nii.gz volumes")
    files = sorted(path for path in where.iterdir() if _is_volume(path.name) and path.is_file())
    if not files:
        raise InputError(f"{setting}={folder}: no .nii.gz, .nii or .npz in this folder; name one with volumes")
    names = Counter(map(_name, files))
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(f"{setting}={folder}: {twice[0]} is there with two endings; remove one")
    require_listed(where, set(names), f"{setting}={folder}")
    sidecars = read_sidecars(where)
    prompts = gather_folder_prompts(where, sidecars, set(names))
    grids, refused = {}, list[str]()
    for path in files:
        try:
            grids[path] = _grid(path, arrays, reading)
        except InputError as error:
            refused.append(str(error))
    refuse_unreadable(refused, len(files))
    volumes = []
    for path in files:
        name, stamp, grid = _name(path), stamp_of(path), grids[path]
        sha256, prompt = sha256_of_file(path), prompts.get(name)
        volumes.append(EvaluatedVolume(path, name, sha256, stamp, grid, prompt, arrays, reading))
    weights = one_set_of_weights({name: sidecars[name] for name in names if name in sidecars}, f"{setting}={folder}")
    return EvaluatedFolder(setting, where, tuple(volumes), weights)


def require_different(real: EvaluatedFolder, fake: EvaluatedFolder) -> None:
    """Refuses to compare volumes with themselves: the same folder, also by a link, or the same files in another.

    Raises:
        InputError: naming both.
    """
    if real.folder.resolve() == fake.folder.resolve():
        raise InputError(
            f"real={real.folder} and fake={fake.folder}: are one folder; its distance to itself says nothing"
        )
    contents = [[volume.sha256 for volume in folder.volumes] for folder in (real, fake)]
    refuse_shared(real, fake, *contents)


def refuse_shared(real: EvaluatedFolder, fake: EvaluatedFolder, of_real: Sequence[str], of_fake: Sequence[str]) -> None:
    """Refuses folders that share a volume.

    Args:
        real: the real volumes.
        fake: the generated ones.
        of_real: hash of each real volume, of its file or of its voxels.
        of_fake: likewise.

    Raises:
        InputError: naming both folders and the first pair.
    """
    names = {content: volume.name for content, volume in zip(of_real, real.volumes, strict=True)}
    shared = [(v.name, names[c]) for c, v in zip(of_fake, fake.volumes, strict=True) if c in names]
    if shared:
        made, original = shared[0]
        raise InputError(
            f"real={real.folder} and fake={fake.folder}: {len(shared)} volume{'s' * (len(shared) != 1)} of the same "
            f"content in both, first {made} of fake, which is {original} of real; a volume compared with itself says "
            "nothing, remove it from one"
        )


def require_one_grid(folders: tuple[EvaluatedFolder, ...]) -> None:
    """Refuses shapes or spacings that differ, within a folder or between folders: they move an FID by themselves.

    Raises:
        InputError: naming two files and their grids.
    """
    first = folders[0].volumes[0]
    for volume in (volume for folder in folders for volume in folder.volumes):
        if not _alike(volume.grid, first.grid):
            raise InputError(
                f"{volume.path}: {volume.grid.said}, but {first.path}: {first.grid.said}; expected one grid, put "
                "them on one, or add grid=fake to resample real volumes in millimetres to that of the generated ones"
            )


def refuse_unreadable(refused: list[str], num_volumes: int) -> None:
    """Lists the volumes that cannot be read, all in one line.

    Args:
        refused: what was said of each.
        num_volumes: of all.

    Raises:
        InputError: there are such volumes.
    """
    if refused:
        listed = "; ".join(refused[:MAX_LISTED])
        more = f"; and {len(refused) - MAX_LISTED} more" if len(refused) > MAX_LISTED else ""
        raise InputError(
            f"{len(refused)} of {num_volumes} volumes cannot be used: {listed}{more}; mend or remove them, a number "
            "without them would be of another set"
        )


def _grid(path: Path, arrays: ArrayForm, reading: Reading) -> Grid:
    is_array = path.name.endswith(ARRAY)
    stored = read_array_header(path, arrays) if is_array else read_header(path, assume_axes=reading.assume_axes)
    order = closest_order(stored.affine)
    i, j, k = stored.shape[:3]
    affine = order.canonical_affine(stored.affine, (i, j, k))
    z, y, x = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    depth, rows, columns = (stored.shape[axis] for axis in order.stored_axis)
    return Grid((depth, rows, columns), (z, y, x))


def _alike(first: Grid, second: Grid) -> bool:
    return first.shape_zyx == second.shape_zyx and np.allclose(
        first.spacing_mm_zyx, second.spacing_mm_zyx, rtol=SAME_SPACING, atol=0
    )


def _is_volume(name: str) -> bool:
    return is_volume_file(name) or (name.endswith(ARRAY) and not name.startswith("."))


def _name(path: Path) -> str:
    return volume_name(path.name)
