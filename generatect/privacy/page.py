"""The audit as one page that needs nothing else: no script, no font, no request, every text escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from generatect.data.inspection.page import POLICY
from generatect.data.inspection.page import STYLE as HOUSE_STYLE
from generatect.evaluation.charts import Whisker, whiskers
from generatect.evaluation.gallery import picture
from generatect.evaluation.report import STYLE as REPORT_STYLE
from generatect.files import atomic_path
from generatect.privacy.chart import score_chart
from generatect.privacy.pictures import numbers_of, state_of
from generatect.privacy.proportion import percent
from generatect.privacy.report import AuditReport
from generatect.privacy.study import Match
from generatect.privacy.terminal import auc_of, rows_of
from generatect.privacy.verdict import BLIND, CANNOT, NOTHING, TOO_FEW, conclude, what_a_flag_means

Films = Sequence[tuple[Match, Mapping[str, str]]]
STATES = {NOTHING: "good", TOO_FEW: "open", BLIND: "open"}
"""Of the headline: green, amber, or else red."""

CONFIDENTIAL = "This page shows scans of the training set and names their files. It is for those who may see them."


def write_page(report: AuditReport, films: Films, path: Path) -> None:
    """Writes the page, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_html(report, films), encoding="utf-8")


def as_html(report: AuditReport, films: Films) -> str:
    """The page."""
    style = HOUSE_STYLE.read_text(encoding="utf-8") + REPORT_STYLE.read_text(encoding="utf-8")
    verdict = conclude(report.findings)
    state = STATES.get(verdict.kind, "bad")
    notices = "".join(f'<p class="notice">{escape(notice)}</p>\n' for notice in (CONFIDENTIAL, *report.notices))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(verdict.title)} · privacy audit</title>\n<style>\n{style}</style>\n</head>\n"
        f'<body>\n<header>\n<p class="kind">Privacy audit</p>\n<h1 class="{state}">{escape(verdict.title)}</h1>\n'
        f"<p>{escape(verdict.reason)}</p>\n{notices}</header>\n<main>\n"
        f"{_facts(report)}{_numbers(report)}{_pairs(films)}{_origin(report)}</main>\n</body>\n</html>\n"
    )


def _facts(report: AuditReport) -> str:
    facts = {
        "Generated": f"{len(report.generated):,}",
        "Training": _size(len(report.train), report.train.patients),
        "Held-out": _size(len(report.heldout), report.heldout.patients),
        "False-positive rate": percent(report.findings.rate),
    }
    cells = "".join(f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in facts.items())
    return f'<section>\n<dl class="summary">{cells}</dl>\n</section>\n'


def _size(num: int, patients: Sequence[str]) -> str:
    num_patients = len(set(patients))
    return f"{num:,}" if num_patients == num else f"{num:,} volumes of {num_patients:,} patients"


def _numbers(report: AuditReport) -> str:
    findings = report.findings
    body = "".join(
        f'<tr><th scope="row">{escape(question)}</th><td><b>{escape(measured)}</b></td><td>{escape(chance)}</td></tr>\n'
        for question, measured, chance in rows_of(findings)
    )
    member = findings.membership
    auc = {"training": (member.auroc, member.interval), "control": (member.control, member.control_interval)}
    marks = [
        Whisker(key, value, interval, auc_of(value, interval), kind="quiet" if key == "control" else "")
        for key, (value, interval) in auc.items()
    ]
    scores = np.array([match.score for match in findings.matches])
    return (
        '<section id="numbers">\n<h2>What was measured</h2>\n<div class="wide"><table class="results">'
        f"<thead><tr><th></th><th>measured, 95 % interval</th><th>without copying</th></tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>\n"
        '<div class="charts">'
        '<figure><figcaption>Score: distance to training / to held-out <span class="key"><span class="swatch real">'
        '</span>held-out <span class="swatch fake"></span>generated</span></figcaption>'
        f"{score_chart(findings.heldout_scores, scores, findings.threshold)}</figure>\n"
        '<figure><figcaption>Membership AUC <span class="key">0.5: training volumes are no nearer to the generated ones'
        "</span></figcaption>"
        f"{whiskers(marks, low=0.0, high=1.0, reference=0.5, reference_label='no')}</figure></div>\n"
        f'<p class="aside">{escape(what_a_flag_means(findings.rate))} {escape(CANNOT)}</p>\n</section>\n'
    )


def _pairs(films: Films) -> str:
    shown = "".join(_pair(number, match, images) for number, (match, images) in enumerate(films, start=1))
    return (
        f'<section id="pairs">\n<h2>The {len(films)} closest pairs</h2>\n'
        '<p class="aside">Each training volume once before any comes again. Axial, coronal and sagittal plane through '
        "the middle of the body, both volumes laid upon each other; lung window above, mediastinal window below. "
        'Difference: <span class="swatch denser"></span>the generated volume is denser, <span class="swatch thinner">'
        "</span>less dense; full colour at 400 HU.</p>\n"
        f"{shown}</section>\n"
    )


def _pair(number: int, match: Match, images: Mapping[str, str]) -> str:
    names = (match.generated.name, match.train.name, "")
    beneath = ("", "", "".join(f'<p class="aside">{escape(line)}</p>' for line in numbers_of(match)))
    figures = "".join(
        f"<figure><figcaption><strong>{escape(title)}</strong><span>{escape(name)}</span></figcaption>"
        f"{picture(image, f'pair {number}, {title}')}{text}</figure>"
        for (title, image), name, text in zip(images.items(), names, beneath, strict=True)
    )
    return (
        f'<article class="exhibit pair">\n<h3>{number}<span>{escape(state_of(match))}</span></h3>\n'
        f'<div class="three">{figures}</div>\n</article>\n'
    )


def _origin(report: AuditReport) -> str:
    hashes = {
        f"{folder.setting}, list of files": folder.sha256 for folder in (report.train, report.generated, report.heldout)
    }
    hashes["tokenizer"] = report.weights_sha256
    hashes |= report.versions
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>\n' for key, value in hashes.items()
    )
    return (
        '<section id="origin">\n<h2>Where the numbers come from</h2>\n'
        f'<p class="aside">Embedding: {escape(report.embedding)}, {report.findings.num_components} components.</p>\n'
        '<details><summary><span class="title">Hashes and versions</span></summary>'
        f'<table class="hashes"><tbody>{rows}</tbody></table></details>\n</section>\n'
    )
