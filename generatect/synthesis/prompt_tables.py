"""Tables of prompts to generate a dataset from: of phantoms, of a table of labels, of a table of reports."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from generatect.data.rows import read_rows
from generatect.data.table import LABEL_VALUES, sift_table
from generatect.errors import InputError
from generatect.phantom.case import labels as labels_of
from generatect.phantom.case import sample_case
from generatect.phantom.report import case_seed, compose_report, prompt
from generatect.text.demographics import parse_age, parse_sex
from generatect.text.prompt import require_texts
from generatect.text.templates import Report, find_template

Row = dict[str, str]
NOT_LABELS = {"volume", "patient", "text", "name", "prompt", "age", "sex", "split", "seed"}
"""Columns that say something else, even where every cell is 0 or 1."""
_NUMBERING = re.compile(r"[\W_]*|unnamed: *\d+", re.IGNORECASE)
"""What a column of row numbers is called: by itself nothing, by pandas "Unnamed: 0"."""
SILENT_PROB = 0.3
"""An absent finding is passed over this often, as reports do."""


def phantom_prompts(num: int, seed: int, wording: str, prevalence: float) -> list[Row]:
    """Reports of phantom cases that no volume has been painted of, with their labels, age and sex."""
    rows = []
    for index in range(num):
        case = sample_case(case_seed(seed, index), prevalence)
        text = prompt(case, compose_report(case, case.seed, wording).text)
        labels = {key: str(value) for key, value in labels_of(case).items()}
        rows.append(_row(index, text, str(case.age), case.sex, labels))
    return rows


def label_prompts(path: Path, num: int, seed: int, columns: Sequence[str], balanced: bool) -> list[Row]:
    """Prompts made of labels alone: which findings are there and which are not, in plain sentences.

    A row of labels is drawn as a whole, with the age and sex beside it, so that findings occur together as they do in
    patients. Balanced, a row is drawn with a probability that is inverse to the frequency of its rarest finding (or of
    rows without any): a finding that one in a hundred has then heads about as many prompts as one that half have.

    Args:
        path: a table with columns of 0 and 1, and `age` and `sex` if it has them.
        num: prompts.
        seed: of the draws.
        columns: the label columns; none: every column of nothing but 0 and 1.
        balanced: see above; otherwise every row is as likely as any.

    Raises:
        InputError: no such column, or a cell that is no label.
    """
    require_texts(columns, "labels")
    header, records = read_rows(path, "a table with columns of 0 and 1")
    names = list(columns) or label_columns(records)
    for name in names:
        if name not in header:
            raise InputError(f"{path}: no column {name!r}; its columns are {', '.join(header)}")
        if _NUMBERING.fullmatch(name):
            raise InputError(f"{path}: column {name!r} is named after no finding; give it a name that a report may say")
        for number, record in enumerate(records, start=1):
            if record[name] not in LABEL_VALUES:
                raise InputError(f"{path} row {number}: {name} holds no label; expected 0 or 1")
    if not names or not records:
        raise InputError(f"{path}: no column of 0 and 1 in it; name some with labels=[…]")
    present = np.array([[LABEL_VALUES[record[name]] for name in names] for record in records])
    random = np.random.default_rng(seed)
    chances = rarity_weights(present) if balanced else np.full(len(records), 1 / len(records))
    rows = []
    for index, drawn in enumerate(random.choice(len(records), size=num, p=chances)):
        record = records[drawn]
        age, sex = parse_age(record.get("age")), parse_sex(record.get("sex"))
        report = Report(text=_sentences(names, present[drawn], random), age_years=age, sex=sex)
        labels = {name: str(value) for name, value in zip(names, present[drawn], strict=True)}
        age_cell = "" if age is None else f"{age:g}"
        rows.append(_row(index, find_template("demographics")(report), age_cell, sex or "", labels))
    return rows


def report_prompts(path: Path, num: int, seed: int, columns: Sequence[str], template: str) -> list[Row]:
    """Prompts that are reports of a table, drawn without repetition as far as it goes; their labels come along.

    Raises:
        InputError: the table cannot be used.
    """
    records = sift_table(path, label_columns=columns, template=template).rows
    if not records:
        raise InputError(f"{path}: no row with a report in it")
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(len(records)) for _ in range(-(-num // len(records)))])[:num]
    rows = []
    for index, drawn in enumerate(order):
        record = records[drawn]
        labels = {name: str(value) for name, value in (record.labels or {}).items()}
        age_cell = "" if record.age_years is None else f"{record.age_years:g}"
        rows.append(_row(index, record.text, age_cell, record.sex or "", labels))
    return rows


def rarity_weights(present: np.ndarray) -> np.ndarray:
    """Probability of each row "n k" of labels: inverse to the frequency of its rarest finding; they sum to 1."""
    frequency = present.mean(axis=0)
    rarest = np.where(present == 1, frequency, np.inf).min(axis=1)
    healthy = ~np.isfinite(rarest)
    rarest[healthy] = healthy.mean()
    weights = 1 / rarest
    return weights / weights.sum()


def label_columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Columns of nothing but 0 and 1 that are named after something that can be seen.

    Args:
        rows: column → cell, the same columns in each.
    """
    names = [name for name in (rows[0] if rows else ()) if name.lower() not in NOT_LABELS]
    candidates = [name for name in names if not _NUMBERING.fullmatch(name)]
    return [name for name in candidates if all(row[name] in LABEL_VALUES for row in rows)]


def _sentences(names: Sequence[str], present: np.ndarray, random: np.random.Generator) -> str:
    """Every finding that is there, and most that are not, in random order."""
    is_silent = random.random(len(names)) < SILENT_PROB
    sentences, absent = [], []
    for name, value, silent in zip(names, present, is_silent, strict=True):
        words = name.replace("_", " ").strip()
        words = words if words.isupper() else words.lower()
        if value:
            sentences.append(f"{words[0].upper()}{words[1:]} is seen.")
        elif not silent:
            absent.append(words)
    random.shuffle(absent)
    groups = [absent[start : start + 3] for start in range(0, len(absent), 3)]
    sentences += [f"No {', '.join(group[:-1]) + ' or ' if group[1:] else ''}{group[-1]}." for group in groups]
    random.shuffle(sentences)
    return " ".join(sentences) or "Normal chest CT."


def _row(index: int, text: str, age: str, sex: str, labels: Mapping[str, str]) -> Row:
    return {"name": f"{index:06d}", "prompt": text, "age": age, "sex": sex, **labels}
