"""How a report becomes a prompt: templates, chosen by name.

| name | prompt |
|---|---|
| `report` | the report: findings and impression, whichever are given, or the text that stands for both |
| `findings` | the findings alone |
| `impression` | the impression alone |
| `released` | `45 years old male: Nodule.`, what the released models were trained with, "None" for what is not known |
| `demographics` | `45 years old male: ` where known, `9 months old female: ` for an infant, then the report |
"""

from collections.abc import Callable
from dataclasses import dataclass

from generatect.config.check import did_you_mean
from generatect.errors import InputError
from generatect.text.demographics import age_words
from generatect.text.prompt import published_prompt


@dataclass(frozen=True)
class Report:
    """What is known of one report.

    Attributes:
        findings: what was seen; empty where it is not given.
        impression: what it means; empty where it is not given.
        text: the whole report where its source keeps it as one; None where findings and impression are all there is.
        age_years: the patient's age; None where it is not known.
        sex: "male", "female" or "other"; None where it is not known.
    """

    findings: str = ""
    impression: str = ""
    text: str | None = None
    age_years: float | None = None
    sex: str | None = None


Template = Callable[[Report], str]
"""Report to prompt; empty where the report lacks what the template says."""


def find_template(name: str) -> Template:
    """The template of that name.

    Raises:
        InputError: there is none.
    """
    if name not in TEMPLATES:
        raise InputError(f"data.template={name}: no such template, {did_you_mean(name, list(TEMPLATES))}")
    return TEMPLATES[name]


def _report(report: Report) -> str:
    if report.text is not None:
        return report.text
    return " ".join(part for part in (report.findings.strip(), report.impression.strip()) if part)


def _findings(report: Report) -> str:
    return report.findings.strip()


def _impression(report: Report) -> str:
    return report.impression.strip()


def _released(report: Report) -> str:
    """The text stands in for the impression where a source keeps its reports as one."""
    impression = report.impression or report.text
    return published_prompt(impression=impression, age=report.age_years, sex=report.sex) if impression else ""


def _demographics(report: Report) -> str:
    text = _report(report)
    age = None if report.age_years is None else age_words(report.age_years)
    person = "person" if report.sex == "other" else report.sex
    known = " ".join(part for part in (age, person) if part)
    return f"{known}: {text}" if known and text else text


TEMPLATES: dict[str, Template] = {
    "report": _report,
    "findings": _findings,
    "impression": _impression,
    "released": _released,
    "demographics": _demographics,
}
