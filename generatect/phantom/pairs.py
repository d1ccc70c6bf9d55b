"""Phantoms as a source of (volume, report) pairs."""

import hashlib
import math
from functools import cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from generatect.ct.grid import Grid
from generatect.ct.preset import NOMINAL_FOV_MM_ZYX, Preset
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.phantom.case import PHANTOM_NOTICE, PhantomCase, labels, sample_case
from generatect.phantom.findings import FINDINGS
from generatect.phantom.render import render
from generatect.phantom.report import Report, case_seed, compose_report, prompt
from generatect.phantom.wording import BANKS

SECOND_SCAN_EVERY = 5
"""Every fifth scan is the second one of the patient before."""


class PhantomPairs:
    """Seeded phantom chest CTs with reports and labels; made when asked for, kept nowhere.

    Args:
        num: number of pairs.
        seed: which series; series of different seeds share no case.
        noise_hu: standard deviation of the noise in a voxel of the finest grid (native, or a preset's upscaled one).
            The low-resolution grid averages those voxels in plane, so its noise is lower by the square root of their
            number.
        wording: "train", "development" or "heldout" phrases.
        prevalence: probability of each finding.
        native_shape_zyx: voxels of `volume`, over 301.5 × 384 × 384 mm.

    Attributes:
        notice: says that this is no patient; goes wherever these pairs go.
        content_sha256: of what decides about all pairs.

    Raises:
        InputError: an empty series, negative noise, an unknown wording or an impossible prevalence.
    """

    notice = PHANTOM_NOTICE

    def __init__(
        self,
        *,
        num: int,
        seed: int = 0,
        noise_hu: float = 30.0,
        wording: str = "train",
        prevalence: float = 0.35,
        native_shape_zyx: tuple[int, int, int] | list[int] = (201, 512, 512),
    ) -> None:
        if num < 1 or not noise_hu >= 0 or wording not in BANKS or not 0 <= prevalence <= 1:
            raise InputError(
                f"phantom pairs num={num}, noise_hu={noise_hu}, wording={wording!r}, prevalence={prevalence}: "
                f"expected num >= 1, noise_hu >= 0, wording one of {sorted(BANKS)}, prevalence in [0, 1]"
            )
        case_seed(seed, num - 1)
        self.num, self.seed, self.noise_hu, self.wording, self.prevalence = num, seed, noise_hu, wording, prevalence
        depth, rows, columns = (int(size) for size in native_shape_zyx)
        content = repr((num, seed, float(noise_hu), wording, float(prevalence)))
        self.content_sha256 = hashlib.sha256(content.encode()).hexdigest()
        z, y, x = NOMINAL_FOV_MM_ZYX
        spacing = (z / depth, y / rows, x / columns)
        self.native_grid = Grid((depth, rows, columns), spacing)

    def __len__(self) -> int:
        """Number of pairs."""
        return self.num

    def _patient_seed(self, index: int) -> int:
        is_second = index % SECOND_SCAN_EVERY == SECOND_SCAN_EVERY - 1
        return case_seed(self.seed, index - 1 if is_second else index)

    def case(self, index: int) -> PhantomCase:
        """The truth behind a pair."""
        if not 0 <= index < self.num:
            raise IndexError(f"phantom {index} of {self.num}")
        return sample_case(case_seed(self.seed, index), self.prevalence, self._patient_seed(index))

    def report(self, index: int) -> Report:
        """The report without age and sex, with the truth of what it says."""
        case = self.case(index)
        return compose_report(case, case.seed, self.wording)

    def name(self, index: int) -> str:
        """Such as "phantom-000123"; the millions are the seed."""
        return f"phantom-{case_seed(self.seed, index):06d}"

    def patient(self, index: int) -> str:
        """Whose scan it is; every fifth scan is of the same patient as the one before."""
        return f"phantom-patient-{self._patient_seed(index):06d}"

    def split(self, index: int) -> None:
        """Phantoms have no side of their own."""

    def text(self, index: int) -> str:
        """Age, sex and report."""
        return prompt(self.case(index), self.report(index).text)

    def labels(self, index: int) -> dict[str, int]:
        """Finding, and finding per side → 0 or 1."""
        return labels(self.case(index))

    def volume(self, index: int) -> CTVolume:
        """The scan on the native grid; seconds at 201 × 512 × 512."""
        return render(self.case(index), self.native_grid, self.noise_hu)

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The scan rendered on the preset's grid itself, in [-1, 1]."""
        noise_hu = self.noise_hu
        if not upscaled:
            noise_hu *= math.sqrt(preset.upscaled_grid.voxel_volume / preset.grid.voxel_volume)
        return self._on(index, preset, upscaled, noise_hu)

    def clean_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """`model_input` without noise: the truth that super-resolution is measured against."""
        return self._on(index, preset, upscaled, 0.0)

    def _on(self, index: int, preset: Preset, upscaled: bool, noise_hu: float) -> Float[Tensor, "1 z y x"]:
        grid = preset.upscaled_grid if upscaled else preset.grid
        return preset.to_model(render(self.case(index), grid, noise_hu), upscaled)

    def fingerprint(self, index: int) -> str:
        """Changes with the case, the settings and the source code that paints it."""
        settings = (self.name(index), self.patient(index), self.noise_hu, self.prevalence, FINDINGS, _source_hash())
        return hashlib.sha256(repr(settings).encode()).hexdigest()


@cache
def _source_hash() -> str:
    """Hash of this package's source: a changed shape must not meet an old cache."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
