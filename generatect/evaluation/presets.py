"""How volumes become numbers: every choice that moves an FID or FVD, named and kept with the result."""

from dataclasses import dataclass

from generatect.ct.intensity import WINDOWS
from generatect.errors import InputError

OFFSETS = ("random", "zero")


@dataclass(frozen=True)
class EvaluationPreset:
    """One protocol. `conf/evaluation/` has two, and room for others.

    Attributes:
        name: goes with every number.
        hu_range: HU that become 0 and 255.
        real_offset: first slice of a real volume's clip: "random" (seeded by the file's content) or "zero".
        fake_offset: that of a generated volume's.
        clip_length: slices of a clip; shorter volumes are dropped, and counted.
        clips_per_volume: clips of each volume.
        slices_per_volume: slices of each volume for image features, drawn at random and in order; None: all.
        max_clips: of each side; those of later files are left out.
        max_fake_images: generated slices in sorted order that count; None: all.
        ddof: 0: covariances over N; 1: over N - 1.
        resamples: draws for the 95 % interval; 0: none.
        floor_splits: random halves of the real volumes for the floor; 0: none.
        kid_where_small: give the kernel distance, too, where volumes are fewer than features are wide.
        clip_window: display window of the slices that CLIP sees: "lung", "mediastinum" or "bone".
        clip_slices: axial slices of each volume that CLIP sees, evenly spaced; None: all.
        clip_keeps_end: cut long texts with their end mark kept; False: cut it off, as torchmetrics does.
        seed: of offsets, slices, resamples and splits.

    Raises:
        InputError: a value that no protocol can have.
    """

    name: str
    hu_range: tuple[float, float] | list[float] = (-1000.0, 1000.0)
    real_offset: str = "random"
    fake_offset: str = "random"
    clip_length: int = 16
    clips_per_volume: int = 1
    slices_per_volume: int | None = None
    max_clips: int = 2048
    max_fake_images: int | None = None
    ddof: int = 0
    resamples: int = 0
    floor_splits: int = 0
    kid_where_small: bool = False
    clip_window: str = "lung"
    clip_slices: int | None = None
    clip_keeps_end: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        low, high = self.hu_range
        if not low < high:
            raise InputError(f"evaluation.hu_range={list(self.hu_range)}: expected a lower and a higher HU")
        for key in ("real_offset", "fake_offset"):
            if getattr(self, key) not in OFFSETS:
                raise InputError(f"evaluation.{key}={getattr(self, key)!r}: expected one of {', '.join(OFFSETS)}")
        for key in (
            "clip_length",
            "clips_per_volume",
            "max_clips",
            "slices_per_volume",
            "max_fake_images",
            "clip_slices",
        ):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise InputError(f"evaluation.{key}={value}: expected at least 1")
        if self.ddof not in (0, 1) or min(self.resamples, self.floor_splits, self.seed) < 0:
            raise InputError(
                f"evaluation.ddof={self.ddof}, resamples={self.resamples}, floor_splits={self.floor_splits}, "
                f"seed={self.seed}: expected ddof 0 or 1 and no negative numbers"
            )
        if self.clip_window not in WINDOWS:
            raise InputError(f"evaluation.clip_window={self.clip_window!r}: expected one of {', '.join(WINDOWS)}")

    def offset_of(self, side: str) -> str:
        """The rule for the first slice of a clip of the "real" or "fake" side."""
        return self.real_offset if side == "real" else self.fake_offset
