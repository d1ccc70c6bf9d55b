"""Reports to begin with, and the phantoms that some of them describe."""

from dataclasses import dataclass

from generatect.ct.grid import Grid
from generatect.ct.volume import CTVolume
from generatect.phantom.case import PHANTOM_NOTICE
from generatect.phantom.pairs import PhantomPairs
from generatect.phantom.render import render

SEED, NUM_PHANTOMS = 901, 6  # held-out phantoms, in wording that training never saw
_EFFUSION = (
    "There is a large pleural effusion on the {side}. The heart is enlarged. No nodule or consolidation is seen."
)
WRITTEN = {
    "Large effusion, right": _EFFUSION.format(side="right"),
    "The same, left": _EFFUSION.format(side="left"),
    "Normal chest": "No pleural effusion. No pericardial effusion. No consolidation, nodule or "
    "emphysema. The heart is of normal size.",
}


@dataclass(frozen=True)
class Example:
    """A report, and the id of the true phantom that it describes, where there is one."""

    title: str
    text: str
    truth: str | None


class Examples:
    """The examples, and their phantoms on a grid.

    Args:
        grid: of the phantoms.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.pairs = PhantomPairs(num=NUM_PHANTOMS, seed=SEED, wording="heldout", native_shape_zyx=grid.shape_zyx)
        self.ids = {f"phantom/{index + 1}": index for index in range(NUM_PHANTOMS)}  # numbered as their titles are

    def listing(self) -> list[Example]:
        """All of them."""
        written = [Example(title, text, None) for title, text in WRITTEN.items()]
        phantoms = [Example(f"Phantom {index + 1}", self.pairs.text(index), name) for name, index in self.ids.items()]
        return written + phantoms

    def truth(self, volume_id: str) -> CTVolume:
        """The phantom of an id."""
        return render(self.pairs.case(self.ids[volume_id]), self.grid, self.pairs.noise_hu)

    def text(self, volume_id: str) -> tuple[str, str]:
        """The report of a phantom, and its notice."""
        return self.pairs.text(self.ids[volume_id]), PHANTOM_NOTICE
