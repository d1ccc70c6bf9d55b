"""What a privacy audit says of a dataset, kept in its folder and at the end of its card as long as it is true of it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from generatect.errors import InputError
from generatect.files import atomic_path
from generatect.synthesis.manifest import MANIFEST, read_lines

CARD, AUDITED = "README.md", "privacy.md"
HEADING = "## Privacy"


def require_dataset(folder: Path, setting: str) -> None:
    """Refuses a folder that `generate prompts=` has not finished.

    Raises:
        InputError: naming the setting.
    """
    for name in (MANIFEST, CARD):
        if not (folder / name).is_file():
            raise InputError(
                f"{setting}={folder}: no {name} in it; expected a dataset that generate prompts=… finished"
            )


def keep_audit(folder: Path, section: str) -> list[Path]:
    """Writes the section beside the dataset's volumes and into its card, in the place of an earlier one.

    Args:
        folder: of a dataset; see `require_dataset`.
        section: Markdown that begins with `HEADING`.
    """
    mark = _mark(entry["volume_sha256"] for entry in read_lines(folder / MANIFEST))
    with atomic_path(folder / AUDITED) as temporary:
        temporary.write_text(f"{mark}\n{section}", encoding="utf-8")
    card = (folder / CARD).read_text(encoding="utf-8").partition(f"\n{HEADING}\n")[0]
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(f"{card}\n{section}", encoding="utf-8")
    return [folder / AUDITED, folder / CARD]


def audited_section(folder: Path, volumes_sha256: Iterable[str]) -> str:
    """The section that ends the card; empty without an audit, or where volumes have come, gone or changed since."""
    if not (folder / AUDITED).is_file():
        return ""
    mark, _, section = (folder / AUDITED).read_text(encoding="utf-8").partition("\n")
    return f"\n{section}" if mark == _mark(volumes_sha256) else ""


def _mark(volumes_sha256: Iterable[str]) -> str:
    """A comment that names the set of volumes."""
    return f"<!-- audited: {hashlib.sha256(''.join(sorted(volumes_sha256)).encode()).hexdigest()} -->"
