"""`python -m generatect.prompts source=phantom|labels|reports output=FILE.csv`: a table of prompts to generate from."""

from collections import Counter
from pathlib import Path

from generatect.config.command import run_command
from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.phantom.wording import BANKS
from generatect.synthesis.prompt_tables import label_prompts, phantom_prompts, report_prompts

SOURCES = ("phantom", "labels", "reports")


def prompts(
    *,
    source: str,
    table: str | None,
    output: str,
    num: int,
    seed: int,
    labels: list[str],
    balanced: bool,
    template: str,
    wording: str,
    prevalence: float,
) -> None:
    """Writes a CSV with the columns name, prompt, age, sex and one of 0 and 1 for each label.

    Args:
        source: "phantom": reports of computed cases; "labels": sentences made of a table's labels; "reports": the
            reports of a table.
        table: CSV or .xlsx of labels or reports.
        output: the CSV.
        num: prompts.
        seed: of the draws.
        labels: label columns of the table; none: with "labels" every column of 0 and 1, with "reports" none.
        balanced: of "labels": draw rare findings more often; see `label_prompts`.
        template: of "reports": how a report becomes a prompt.
        wording: of "phantom": train, development or heldout phrases.
        prevalence: of "phantom": how often each finding is there.

    Raises:
        InputError: whatever of this cannot be used.
    """
    if source not in SOURCES:
        raise InputError(f"source={source}: expected one of {', '.join(SOURCES)}")
    if num < 1 or seed < 0 or not 0 <= prevalence <= 1 or wording not in BANKS:
        raise InputError(
            f"num={num}, seed={seed}, prevalence={prevalence}, wording={wording}: expected num >= 1, seed >= 0, "
            f"prevalence from 0 to 1, wording one of {', '.join(sorted(BANKS))}"
        )
    if source == "phantom":
        rows = phantom_prompts(num, seed, wording, prevalence)
    elif table is None:
        raise InputError(f"table: source={source} needs one; add table=FILE.csv")
    elif source == "labels":
        rows = label_prompts(Path(table).expanduser(), num, seed, labels, balanced)
    else:
        rows = report_prompts(Path(table).expanduser(), num, seed, labels, template)
    path = Path(output).expanduser()
    writable_folder(path.parent)
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])
    counts = Counter(name for row in rows for name, cell in row.items() if cell == "1" and name != "age")
    for name, count in counts.most_common():
        print(f"{count:6d}  {name}")
    print(f"wrote {num} prompts to {path}")


if __name__ == "__main__":
    run_command("prompts", prompts)
