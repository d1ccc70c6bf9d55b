"""`pytest -m parity`: the tests that read recordings, and what they found as tables at the end."""

import io
import math
from dataclasses import dataclass

import pytest
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tests.recordings import Expected, names_of_recordings, read_recording, recordings_folder

MARKED = {"load_recording", "fixtures_dir", "record_effect"}  # tests that use one of these fixtures are of parity


@dataclass
class Agreement:
    """Largest relative deviation of the comparisons of one part."""

    deviation: float = 0.0
    tolerance: float = 0.0
    comparisons: int = 0

    def add(self, deviation: float, tolerance: float) -> None:
        """One more comparison; a deviation that is no number counts as infinite."""
        self.deviation = max(self.deviation, math.inf if math.isnan(deviation) else deviation)
        self.tolerance = max(self.tolerance, tolerance)
        self.comparisons += 1


class Parity:
    """Pytest plugin: marks tests, keeps what they compare, and prints it if `-m parity` asked for them alone."""

    def __init__(self, config: pytest.Config) -> None:
        self.is_asked_for = config.option.markexpr == "parity"
        self.is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
        self.agreements: dict[tuple[str, str], Agreement] = {}
        self.compared: set[tuple[str, str]] = set()
        self.effects: dict[tuple[str, str], str] = {}
        if self.is_asked_for and not recordings_folder().is_dir():
            raise pytest.UsageError(
                f"parity: no recordings at {recordings_folder()}; set GENERATECT_FIXTURES to their folder"
            )

    def assert_relative(
        self, actual: Tensor, expected: Expected, tolerance: float = 1e-5, scale: Tensor | None = None
    ) -> None:
        """Asserts max|actual - expected| / scale ≤ tolerance; the scale is max|expected| unless given."""
        value = expected.value.double()
        scale = value.abs().max() if scale is None else scale.double()
        assert actual.shape == value.shape, f"{expected.key}: {actual.shape}, recorded are {value.shape}"
        deviation = ((actual.detach().double() - value).abs().max() / scale.clamp(min=1e-30)).item()
        self._keep(expected, deviation, tolerance)
        assert deviation <= tolerance, f"{expected.key}: relative deviation {deviation:.2e} > {tolerance:.0e}"

    def assert_identical(self, actual: Tensor, expected: Expected) -> None:
        """Asserts equality of every element."""
        assert actual.shape == expected.value.shape, f"{expected.key}: {actual.shape}"
        different = (actual != expected.value).float().mean().item()
        self._keep(expected, different, 0.0)
        assert different == 0, f"{expected.key}: {different:.2%} of the elements differ"

    def record_effect(self, mended: str, measure: str, value: str) -> None:
        """Keeps what a quirk costs, for the second table."""
        self.effects[mended, measure] = value

    def _keep(self, expected: Expected, deviation: float, tolerance: float) -> None:
        quantity = "gradients" if expected.key.startswith("grad.") else expected.key.removeprefix("out.")
        self.agreements.setdefault((expected.recording, quantity), Agreement()).add(deviation, tolerance)
        self.compared.add((expected.recording, expected.key))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Marks the tests that read recordings. Runs before pytest deselects by mark."""
        for item in items:
            if not MARKED.isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker("parity")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A whole run fails as well if something recorded was compared by no test."""
        if self.is_asked_for and self.is_whole and self._uncompared() and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the tables."""
        if not self.is_asked_for:
            return
        terminalreporter.write(self._tables())
        if self.is_whole and (missing := self._uncompared()):
            terminalreporter.write_line(f"recorded, but compared by no test: {', '.join(missing)}", red=True)

    def _uncompared(self) -> list[str]:
        recorded = [(name, key) for name in names_of_recordings() for key in read_recording(name).computed()]
        return [f"{name} {key}" for name, key in recorded if (name, key) not in self.compared]

    def _tables(self) -> str:
        agreement = Table("recording", "quantity", title="Agreement with the original", box=box.SIMPLE_HEAD)
        for column in ("largest deviation", "tolerance", "comparisons"):
            agreement.add_column(column, justify="right")
        last = None
        for (recording, quantity), row in sorted(self.agreements.items()):
            style = None if row.deviation <= row.tolerance else "bold red"
            name = "" if recording == last else recording
            numbers = (f"{row.deviation:.1e}", f"{row.tolerance:.0e}") if row.tolerance else (f"{row.deviation:g}", "0")
            agreement.add_row(name, quantity, *numbers, str(row.comparisons), style=style)
            last = recording
        effect = Table("what", "measure", title="What mending changes", box=box.SIMPLE_HEAD)
        effect.add_column("value", justify="right")
        for (mended, measure), value in sorted(self.effects.items()):
            effect.add_row(mended, measure, value)
        console = Console(file=io.StringIO(), width=120, markup=False)
        for table in (agreement, effect):
            if table.row_count:
                console.print(table)
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def relative_change(mended: Tensor, released: Tensor) -> float:
    """max|mended - released| / max|released|: the measure of agreement, for what shall not agree."""
    return (torch.dist(mended, released, p=math.inf) / released.abs().max()).item()
