"""Who is scanned: sex, age and the few measures by which phantom bodies differ."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patient:
    """A phantom's body.

    Attributes:
        sex: "male" or "female".
        age: years, 25 to 90.
        scale: size of the chest relative to the average, all directions.
        fat_mm: thickness of the fat under the skin.
        breath_mm: how far the diaphragm stands above (+) or below (-) its average height.
        heart_scale: size of the heart relative to the chest's.
        lung_hu: mean density of healthy lung.
        bone_hu: density of trabecular bone; falls with age.
        tree: which of the templates of lung vessels.
    """

    sex: str
    age: int
    scale: float
    fat_mm: float
    breath_mm: float
    heart_scale: float
    lung_hu: float
    bone_hu: float
    tree: int


def sample_patient(generator: np.random.Generator) -> Patient:
    """A patient with everyday variation; nothing here depends on what will be found."""
    sex = "male" if generator.random() < 0.5 else "female"
    age = int(generator.integers(25, 91))
    spread = generator.uniform(-1, 1, size=5)
    return Patient(
        sex=sex,
        age=age,
        scale=float((1.02 if sex == "male" else 0.97) + 0.02 * spread[0]),
        fat_mm=float(17 + 5 * spread[1]),
        breath_mm=float(9 * spread[2]),
        heart_scale=float(1 + 0.05 * spread[3]),
        lung_hu=float(-855 + 12 * spread[4]),
        bone_hu=float(300 - 1.6 * (age - 25)),
        tree=int(generator.integers(4)),
    )
