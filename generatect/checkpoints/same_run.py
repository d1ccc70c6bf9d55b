"""Whether a command goes on with the run that a checkpoint is of: what may change on the way, and what may not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from generatect.checkpoints.safe_load import load_tensors
from generatect.errors import InputError

SETTINGS_KEY = "generatect_settings"
"""Where a checkpoint keeps the settings that it was trained by; see `settings_of_run`."""

COMPARED = ("seed", "steps", "val_every", "accumulate", "checkpoint_activations", "compile", "stage", "data", "trainer")
PLACES = {"root", "table", "tables", "cache_dir", "token_cache_dir", "skipped_file", "default_root_dir", "folder"}
"""Settings that say where something lies: they may change, and what lies there may name a patient."""

CONTENT = ("split", "reports_and_labels")
FIXED = re.compile(
    rf"(seed|model|preset|text_encoder|tokenizer|{'|'.join(CONTENT)})(\..*)?"
    r"|stage\.(name|module|datamodule)"
    r"|stage\.datamodule\.(val_fraction|max_val_items|max_train_items)"
    r"|data\.(hu_policy|assume_axes)"
    r"|stage\.module\.\w*optimizer(\.(?!(lr|betas|eps|weight_decay|fused|foreach)$).*)?"
)
"""Keys by which a run is what it is. All others are settings of its training, which a user may change on the way."""

_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """A setting that a checkpoint was trained by, and the command has otherwise.

    Attributes:
        key: dotted, as on the command line.
        before: in the checkpoint.
        now: in the command.
    """

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} {_shown(self.before)} → {_shown(self.now)}"


def settings_of_run(
    settings: Mapping[str, Any],
    *,
    parts: tuple[str, ...],
    tokenizer: Mapping[str, Any] | None,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """What a run is told apart by, as plain values without paths.

    Args:
        settings: the resolved configuration of a training.
        parts: what of `model` its stage is built from.
        tokenizer: of a later stage the tokenizer's "codebook_sha256" and "preset"; None for others.
        data: "split" and "reports_and_labels"; see `describe_sides`.
    """
    found = {key: _without_places(settings[key]) for key in COMPARED}
    found["callbacks"] = {key: _without_places(settings["callbacks"].get(key)) for key in ("ema", "checkpoint")}
    found["model"] = {key: _without_places(settings["model"].get(key)) for key in parts}
    if tokenizer is None:
        return {**found, **data, "preset": settings["preset"]}
    return {**found, **data, "text_encoder": settings["text_encoder"], "tokenizer": dict(tokenizer)}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What differs, each setting once: those of `data` are there again where they are put in."""
    found = list(_differences(before, now, ""))
    put_in = {item.key.removeprefix("data.") for item in found if re.fullmatch(r"data\.\w+", item.key)}
    again = re.compile(rf"(data\.pairs\.|stage\.datamodule\.)(.*\.)?({'|'.join(put_in)})")
    return [item for item in found if not again.fullmatch(item.key)]


def refused(found: list[Difference]) -> list[Difference]:
    """Those of a list of differences that make it another run, the plainest first."""
    other_content = any(item.key.startswith(CONTENT) for item in found)
    fixed = [item for item in found if FIXED.fullmatch(item.key) or (other_content and item.key.startswith("data."))]
    return sorted(fixed, key=lambda item: item.key.startswith(CONTENT))


def refusal(where: str, fixed: list[Difference]) -> str:
    """One line that says why a command does not go on with the run in `where`."""
    first, *others = fixed
    more = f" (other too: {', '.join(item.key for item in others[:5])})" if others else ""
    return (
        f"{where} of a run with {first.key}={_shown(first.before)}, the command has {_shown(first.now)}{more}; give "
        "the run's own to go on with it, or fresh=true or another output to train anew"
    )


def changes_since(checkpoint: Path, now: Mapping[str, Any]) -> list[str]:
    """What a command changes of the run that it goes on with, one setting a line.

    Args:
        checkpoint: to go on from.
        now: the command's settings, see `settings_of_run`.

    Raises:
        InputError: it is another run.
    """
    before = load_tensors(checkpoint).get(SETTINGS_KEY)
    if not isinstance(before, dict):
        raise InputError(
            f"resume={checkpoint}: does not say by which settings it was trained; start another run from its weights "
            f"with init={checkpoint}"
        )
    found = differences(before, now)
    fixed = refused(found)
    if fixed:
        raise InputError(refusal(f"resume={checkpoint}:", fixed))
    return [str(item) for item in found]


def described_otherwise(weights: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """In what weights that fit a new run were trained otherwise, by both descriptions; one setting a line."""
    both = [key for key in ("preset", "text", "process", "codebook_sha256") if key in weights and key in run]
    found = _differences({key: weights[key] for key in both}, {key: run[key] for key in both}, "")
    return [str(item) for item in found]


def _differences(before: Any, now: Any, key: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(now, Mapping) and not _is_one_thing(before, now):
        for name in (*before, *(name for name in now if name not in before)):
            where = f"{key}.{name}" if key else str(name)
            yield from _differences(before.get(name, _ABSENT), now.get(name, _ABSENT), where)
    elif _plain(before) != _plain(now):
        yield Difference(key, before, now)


def _is_one_thing(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Numbers with their hash, and objects of two classes, of which the settings do not compare."""
    return "sha256" in before or before.get("_target_") != now.get("_target_")


def _plain(value: Any) -> Any:
    """A list where Python may have made a tuple of it, and null where a setting is not named."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value is _ABSENT else value


def _shown(value: Any) -> str:
    if value is _ABSENT or value is None:
        return "null"
    if isinstance(value, Mapping) and "sha256" in value:
        numbers = [f"{number} {key}" for key, number in value.items() if key != "sha256"]
        return " ".join([*numbers, value["sha256"][:8]])
    if isinstance(value, Mapping):
        return str(value.get("_target_", "given")).rpartition(".")[2]
    text = str(value)
    return text if len(text) <= 60 else f"{text[:8]}…"


def _without_places(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_places(value) for key, value in node.items() if key not in PLACES and not _is_path(value)}
    return node


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and (
        value.startswith(("/", "~", "./", "../")) or "://" in value or PureWindowsPath(value).is_absolute()
    )
