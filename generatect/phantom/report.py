"""Reports of phantom cases in a radiologist's language, together with the truth of what they say."""

import re
from dataclasses import dataclass

import numpy as np

from generatect.errors import InputError
from generatect.phantom.case import PhantomCase, sample_case
from generatect.phantom.findings import FINDINGS, Finding
from generatect.phantom.wording import BANKS, TRAIN, WordBank

UNMENTIONED_PROB = 0.15
"""An absent finding is passed over in silence this often; a present one never."""

NORMAL_PROB = 0.3
CASES_PER_SEED = 1_000_000
_ARTICLE = re.compile(r"\b(?:a|an|the) ", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """A text and what it says.

    Attributes:
        text: the report.
        mentions: finding → "named", "denied" or "unmentioned".
        sides: finding → "left", "right" or "both" where a sided finding is named, else "".
    """

    text: str
    mentions: dict[str, str]
    sides: dict[str, str]


def compose_report(case: PhantomCase, seed: int, wording: str = TRAIN) -> Report:
    """Word a case: every finding is named, every absent one denied or passed over, in shuffled order.

    Args:
        case: what is to be reported.
        seed: seed of the wording.
        wording: "train", or "development" or "heldout" for phrases that never occur in training.

    Raises:
        InputError: an unknown wording.
    """
    if wording not in BANKS:
        raise InputError(f"phantom wording={wording!r}: expected one of {sorted(BANKS)}")
    bank, generator = BANKS[wording], np.random.default_rng([seed, 5])
    is_silent = generator.random(len(FINDINGS)) < UNMENTIONED_PROB
    present = {finding.name: finding for finding in case.findings}
    absent = [name for name in FINDINGS if name not in present]
    denied = [name for name, silent in zip(FINDINGS, is_silent, strict=True) if name in absent and not silent]
    if not present and not denied:
        denied = absent
    sentences = [name_finding(finding, bank, generator) for finding in case.findings] + deny_findings(
        denied, bank, generator
    )
    sentences = [_dictate(sentence, bank, generator) for sentence in sentences]
    generator.shuffle(sentences)
    mentions = {
        name: "named" if name in present else "denied" if name in denied else "unmentioned" for name in FINDINGS
    }
    sides = {name: present[name].side if name in present else "" for name in FINDINGS}
    return Report(" ".join(sentences), mentions, sides)


def write_report(case: PhantomCase, seed: int, wording: str = TRAIN) -> str:
    """The text of `compose_report`."""
    return compose_report(case, seed, wording).text


def prompt(case: PhantomCase, report_text: str) -> str:
    """A report after the patient's age and sex, as GenerateCT is prompted."""
    return f"{case.age} years old {case.sex}: {report_text}"


def sample_prompts(num: int, seed: int, wording: str = TRAIN, prevalence: float = 0.5) -> list[Report]:
    """Prompts with known meaning, for measuring whether a model follows the text.

    Args:
        num: how many.
        seed: first of the seeds; the same seed gives the same prompts.
        wording: "train", "development" or "heldout".
        prevalence: probability that a finding is named.

    Returns:
        Reports whose text starts with age and sex.
    """
    prompts = []
    for index in range(num):
        case = sample_case(case_seed(seed, index), prevalence)
        report = compose_report(case, case.seed, wording)
        prompts.append(Report(prompt(case, report.text), report.mentions, report.sides))
    return prompts


def case_seed(seed: int, index: int) -> int:
    """Seed of the case at `index` of a series; series of different seeds share no case.

    Raises:
        InputError: an index outside the series.
    """
    if seed < 0 or not 0 <= index < CASES_PER_SEED:
        raise InputError(f"phantom seed={seed}, index={index}: expected seed >= 0 and index in [0, {CASES_PER_SEED})")
    return seed * CASES_PER_SEED + index


def _pick(choices: tuple[str, ...], generator: np.random.Generator) -> str:
    return choices[generator.integers(len(choices))]


def _sentence(carrier: str, phrase: str) -> str:
    """The carrier around the phrase, verbs in its number, capitalised."""
    plural = phrase.startswith("+")
    words = {"phrase": phrase.removeprefix("+"), "is": "are" if plural else "is", "was": "were" if plural else "was"}
    text = carrier.format(**words).replace(",.", ".")
    return text[0].upper() + text[1:]


def _dictate(sentence: str, bank: WordBank, generator: np.random.Generator) -> str:
    """The sentence, or the same without its articles."""
    if generator.random() >= bank.telegraphic_prob:
        return sentence
    text = _ARTICLE.sub("", sentence)
    return text[0].upper() + text[1:]


def name_finding(finding: Finding, bank: WordBank, generator: np.random.Generator) -> str:
    """A sentence that states the finding."""
    phrases = bank.bilateral[finding.name] if finding.side == "both" else bank.named[finding.name]
    size = finding.severity
    article = "an" if size[:1] in tuple("aeiou") else "a"
    phrase = _pick(phrases, generator).format(
        size=size, a_size=f"{article} {size}", side=finding.side, place=finding.place
    )
    return _sentence(_pick(bank.naming, generator), phrase)


def deny_findings(names: list[str], bank: WordBank, generator: np.random.Generator) -> list[str]:
    """Sentences that deny the findings, alone, in groups of up to four, or as something normal."""
    sentences, rest = [], []
    for name in generator.permutation(names):
        if name in bank.normal and generator.random() < NORMAL_PROB:
            sentences.append(_pick(bank.normal[name], generator))
        else:
            rest.append(_pick(bank.denied[name], generator))
    while rest:
        size = int(generator.integers(1, 5))
        group, rest = rest[:size], rest[size:]
        if {"pleural effusion", "pericardial effusion"} <= set(group):
            group = [noun for noun in group if "effusion" not in noun] + ["pleural or pericardial effusion"]
        phrase = group[0] if len(group) == 1 else f"{', '.join(group[:-1])} or {group[-1]}"
        sentences.append(_sentence(_pick(bank.denying, generator), phrase))
    return sentences
