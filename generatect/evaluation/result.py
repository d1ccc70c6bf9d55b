"""A number that can be defended: with its interval, its floor, what it was measured on, with what and how."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from generatect import __version__
from generatect.errors import InputError
from generatect.files import atomic_path

FORMAT = "generatect.result/1"
PACKAGES = ("numpy", "torch", "torchmetrics", "transformers")


@dataclass(frozen=True)
class DetectorRecord:
    """Which network made the features.

    Attributes:
        name: of its file or class.
        sha256: of its file, or of its class and weights.
        width: length of a feature vector.
    """

    name: str
    sha256: str
    width: int


@dataclass(frozen=True)
class Floor:
    """What the same statistic gives where nothing is to be told apart.

    Attributes:
        value: mean over repetitions.
        interval: 95 % of the repetitions; None where there was one.
        num: volumes on each side.
        of: what was compared, such as "real against real".
    """

    value: float
    interval: tuple[float, float] | None
    num: int
    of: str


@dataclass(frozen=True)
class Result:
    """One number and everything that it depends on.

    Attributes:
        metric: such as "fid", "fvd", "kid", "kvd", "fid_2.5d", "clip_score", "hu_histogram", "z_continuity", "psnr",
            "ssim_lung", "auroc".
        value: the statistic of all volumes.
        preset: name of the evaluation preset.
        num_real: real volumes that count; 0 where the metric needs none.
        num_fake: generated volumes that count.
        interval: 95 %, by resampling volumes; None where the preset asks for none.
        floor: what chance, or real against real, gives.
        num_dropped: volumes left out on both sides together, such as those shorter than a clip.
        real_files_sha256: hash of the names and contents of the real files; None where the metric needs none.
        fake_files_sha256: likewise.
        detector: None where there is none.
        weights: stage → hash of the weights that made the volumes, as far as their sidecars say it.
        versions: of the software.
        protocol: every setting of the preset, and the grid.
        notes: what must be said with the number, a line each.
    """

    metric: str
    value: float
    preset: str
    num_real: int
    num_fake: int
    fake_files_sha256: str
    real_files_sha256: str | None = None
    interval: tuple[float, float] | None = None
    floor: Floor | None = None
    num_dropped: int = 0
    detector: DetectorRecord | None = None
    weights: dict[str, str] | None = None
    versions: dict[str, str] = field(default_factory=lambda: software_versions())
    protocol: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `from_json` reads them."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Any, where: str = "result") -> "Result":
        """The result that `to_json` wrote.

        Raises:
            InputError: another format, or a key that is missing or unknown.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise InputError(f"{where}: no result of format {FORMAT}; name a results.json that evaluate wrote")
        given = {key: value for key, value in values.items() if key != "format"}
        known = {item.name for item in fields(cls)}
        try:
            if odd := sorted(set(given) ^ known):
                raise KeyError(odd[0])
            detector, floor = given["detector"], given["floor"]
            return cls(
                **given
                | {
                    "detector": detector and DetectorRecord(**detector),
                    "floor": floor and Floor(**floor | {"interval": _pair(floor["interval"])}),
                    "interval": _pair(given["interval"]),
                    "notes": tuple(given["notes"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not a result ({error}); name a results.json that evaluate wrote") from error


def software_versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    return {"generatect": __version__, **{name: metadata.version(name) for name in PACKAGES}}


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Writes results as JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        content = json.dumps([result.to_json() for result in results], indent=2, ensure_ascii=False)
        temporary.write_text(content + "\n", encoding="utf-8")


def read_results(path: Path) -> list[Result]:
    """Reads what `write_results` wrote.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a results.json") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON; expected a results.json that evaluate wrote") from error
    if not isinstance(content, list):
        raise InputError(f"{path}: holds no list of results; expected a results.json that evaluate wrote")
    return [Result.from_json(item, str(path)) for item in content]


def refuse_mixed(results: Iterable[Result]) -> None:
    """Checks that numbers may stand in one table: one preset, and for each metric one n and one detector.

    Raises:
        InputError: naming the metric and the two values that differ.
    """
    first: dict[tuple[str, str], Any] = {}
    for result in results:
        detector = result.detector and f"{result.detector.name} ({result.detector.sha256[:12]})"
        facts = {
            ("", "preset"): result.preset,
            (result.metric, "number of real volumes"): result.num_real,
            (result.metric, "number of generated volumes"): result.num_fake,
            (result.metric, "detector"): detector,
            (result.metric, "protocol"): _comparable(result.protocol),
        }
        for (metric, what), value in facts.items():
            seen = first.setdefault((metric, what), value)
            if seen != value:
                raise InputError(
                    f"{metric or 'results'}: {what} is {seen} in one result and {value} in another; "
                    "such numbers do not belong in one table, evaluate them alike"
                )


def _comparable(protocol: Mapping[str, Any]) -> str:
    """The protocol without the grid: rows of a table may differ in resolution, which it shows."""
    return json.dumps({key: value for key, value in protocol.items() if key != "grid"}, sort_keys=True)


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    if values is None:
        return None
    low, high = values
    return low, high
