"""What a model cannot take in of prompts: their ends, where they are longer than it reads, and labels it never met."""

from collections.abc import Mapping, Sequence

from generatect.data.prompts import Prompt
from generatect.data.table import LABEL_VALUES
from generatect.phantom.case import PHANTOM_NOTICE
from generatect.phantom.findings import LABELS as PHANTOM_LABELS
from generatect.synthesis.prompt_tables import label_columns
from generatect.text.reading import TextRead, describe_cut


def lines_on_length(reads: Mapping[str, Sequence[TextRead]]) -> list[str]:
    """A line for each stage that does not read every prompt to its end; one for all where they read alike.

    Args:
        reads: stage → how much it reads of each prompt.
    """
    lines: dict[str, list[str]] = {}
    for stage, of_stage in reads.items():
        if line := describe_cut(of_stage, "prompts"):
            lines.setdefault(line, []).append(stage)
    are_alike = any(stages == list(reads) for stages in lines.values())
    return [
        f"{'' if are_alike else f'stage {stage}: '}{line}: what follows does not reach the model; shorten the text"
        for line, (stage, *_) in lines.items()
    ]


def unknown_labels(prompts: Sequence[Prompt], notice: str | None) -> list[str]:
    """Labels asked for that the model cannot show, where it is known which it can: a phantom's model knows a phantom's.

    Args:
        prompts: of a table, with its columns.
        notice: of the model's weights.
    """
    if not prompts or PHANTOM_NOTICE not in (notice or ""):
        return []
    rows, known = [prompt.columns for prompt in prompts], {name.casefold() for name in PHANTOM_LABELS}
    asked = [name for name in label_columns(rows) if name.replace("_", " ").casefold() not in known]
    return [name for name in asked if any(LABEL_VALUES[row[name]] for row in rows)]
