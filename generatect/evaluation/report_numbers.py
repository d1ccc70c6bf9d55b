"""The part of the report with the numbers: the table, its charts, further measures, histograms of Hounsfield units."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from generatect.evaluation.charts import Whisker, curves, whiskers
from generatect.evaluation.result import Result
from generatect.evaluation.rows import SHOWN, Row, interval, number, with_interval
from generatect.metrics.hu_histogram import BINS_HU

FURTHER = {
    "kid": ("KID × 1000", "of slices; unbiased at any number, lower is better", 1000.0),
    "kvd": ("KID × 1000 of clips", "likewise, with the features of FVD", 1000.0),
    "fid_2.5d": ("FID-2.5D", "mean over three planes", 1.0),
    "hu_histogram": ("HU distance", "Wasserstein distance of the histograms, in HU", 1.0),
    "z_continuity": ("z-continuity", "slice-to-slice jerk relative to real; 1 is as continuous", 1.0),
    "psnr": ("PSNR", "dB, against the same scan", 1.0),
    "psnr_lung": ("PSNR, lung window", "dB, likewise", 1.0),
    "psnr_mediastinum": ("PSNR, mediastinal window", "dB, likewise", 1.0),
    "ssim": ("SSIM", "against the same scan", 1.0),
    "ssim_lung": ("SSIM, lung window", "likewise", 1.0),
    "ssim_mediastinum": ("SSIM, mediastinal window", "likewise", 1.0),
}
"""Metric → heading, what it is, and what its values are multiplied by."""

BIN_HU = 20
CHART_MARGIN = 1.25


def results_section(rows: Sequence[Row], caption: Sequence[str]) -> str:
    """The table of the paper, its caption, and a chart of every column that has numbers."""
    head = "".join(f'<th class="number">{heading}</th>' for heading in SHOWN.values())
    body = "".join(_row(row) for row in rows)
    lines = "".join(f"<li>{escape(line)}</li>" for line in caption)
    charts = "".join(_chart(metric, heading, rows) for metric, heading in SHOWN.items())
    return (
        '<section id="results">\n<h2>Results</h2>\n<div class="wide"><table class="results"><thead><tr><th>method</th>'
        f"<th>resolution</th><th>dimension</th><th>text-guided</th>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
        f'<ul class="captions">{lines}</ul>\n<div class="charts three-wide">{charts}</div>\n</section>\n'
    )


def measures_section(rows: Sequence[Row]) -> str:
    """What else was measured; empty where nothing was."""
    measured = [metric for metric in FURTHER if any(metric in row.results for row in rows)]
    if not measured:
        return ""
    head = "".join(f'<th scope="col" class="number">{escape(row.method)}</th>' for row in rows)
    body = ""
    for metric in measured:
        title, explanation, factor = FURTHER[metric]
        cells = "".join(f'<td class="number">{_cell(row.results.get(metric), factor)}</td>' for row in rows)
        body += f'<tr><th scope="row">{title}<small>{explanation}</small></th>{cells}</tr>\n'
    return (
        '<section id="measures">\n<h2>Further measures</h2>\n<div class="wide"><table class="results"><thead><tr>'
        f"<th></th>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n</section>\n"
    )


def histograms_section(histograms: Mapping[str, tuple[Any, Any]]) -> str:
    """Histograms of Hounsfield units of each method over those of its real volumes; empty without any."""
    if not histograms:
        return ""
    edges = BINS_HU[:-1:BIN_HU]
    edges = np.append(edges, BINS_HU[-1] + 1).astype(np.float64)
    figures = "".join(
        f'<figure><figcaption>{escape(method)} <span class="key"><span class="swatch real"></span>real'
        f'<span class="swatch fake"></span>{escape(method)}</span></figcaption>'
        f"{curves(edges, _binned(real), _binned(fake), 'HU')}</figure>"
        for method, (real, fake) in histograms.items()
    )
    return (
        '<section id="histograms">\n<h2>Hounsfield units</h2>\n<p class="aside">Share of the voxels in bins of '
        f"{BIN_HU} HU, on a square-root axis; the bin of air is cut off.</p>\n"
        f'<div class="charts">{figures}</div>\n</section>\n'
    )


def _row(row: Row) -> str:
    method, *facts = row.facts
    cells = "".join(f"<td>{fact}</td>" for fact in facts)
    numbers = "".join(f'<td class="number">{_cell(row.results.get(metric))}</td>' for metric in SHOWN)
    return f'<tr><th scope="row">{escape(method)}<small>{escape(row.what)}</small></th>{cells}{numbers}</tr>\n'


def _cell(result: Result | None, factor: float = 1.0) -> str:
    """The value, its interval and its floor beneath each other."""
    if result is None:
        return "–"
    ends = result.interval and (result.interval[0] * factor, result.interval[1] * factor)
    floor = "" if result.floor is None else f"<small>floor {number(result.floor.value * factor)}</small>"
    return f"<b>{number(result.value * factor)}</b><small>{interval(ends)}</small>{floor}"


def _chart(metric: str, heading: str, rows: Sequence[Row]) -> str:
    """Values, intervals and floors of one column; empty where nothing was measured."""
    marks = [
        Whisker(
            row.method,
            result.value,
            result.interval,
            with_interval(result),
            result.floor and (result.floor.value, result.floor.interval),
        )
        for row in rows
        if (result := row.results.get(metric)) is not None
    ]
    if not marks:
        return ""
    ends = [end for mark in marks for end in (mark.value, *(mark.interval or ()))]
    ends += [end for mark in marks if mark.floor for end in (mark.floor[0], *(mark.floor[1] or ()))]
    positive = [end for end in ends if end > 0]
    is_logarithmic = metric in ("fid", "fvd") and bool(positive)
    low, high = (min(positive) / CHART_MARGIN, max(positive) * CHART_MARGIN) if is_logarithmic else _around(ends)
    chart = whiskers(marks, low=low, high=high, logarithmic=is_logarithmic)
    return (
        f'<figure><figcaption>{heading} <span class="key"><span class="swatch real"></span>'
        f"{escape(_floor_name(metric))}</span></figcaption>{chart}</figure>"
    )


def _floor_name(metric: str) -> str:
    return "the same volumes, others' reports" if metric == "clip_score" else "floor: real against real"


def _around(ends: Sequence[float]) -> tuple[float, float]:
    low, high = min(ends), max(ends)
    margin = 0.1 * (high - low) or abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def _binned(shares: np.ndarray) -> np.ndarray:
    """Shares over bins of 1 HU summed into wider ones; the last HU joins the last bin."""
    starts = np.arange(0, len(shares) - 1, BIN_HU)
    return np.add.reduceat(shares, starts)
