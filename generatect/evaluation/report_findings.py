"""The part of the report about obedience to the text: each finding, and pairs that differ in one finding."""

from collections.abc import Sequence
from html import escape

import numpy as np
import torch
from torch.nn.functional import avg_pool3d

from generatect.ct.nifti import read_nifti
from generatect.ct.preview import PLANES
from generatect.ct.volume import CTVolume
from generatect.evaluation.charts import Whisker, whiskers
from generatect.evaluation.film import difference_film, film
from generatect.evaluation.gallery import picture
from generatect.evaluation.phantom_findings import FindingRow, ShownPair

IN_LUNG_WINDOW = ("Emphysema", "Lung nodule", "Consolidation")
"""Findings that the lung window shows; the others show in the mediastinal one."""
SHOWN_PLANES = PLANES[:2]
BLOB_MM = 40.0


def findings_section(rows: Sequence[FindingRow], reason: str) -> str:
    """AUROC of each finding.

    Args:
        rows: measured; none where there is no classifier.
        reason: why there are none.
    """
    if not rows:
        said = f'<p class="aside">Not measured: {escape(reason)}.</p>'
        return f"<section>\n<h2>Obedience to the text</h2>\n{said}\n</section>\n"
    marks = [
        Whisker(
            label=row.finding,
            value=row.generated.value,
            interval=(row.generated.low, row.generated.high),
            said=f"{row.generated.value:.2f} [{row.generated.low:.2f}, {row.generated.high:.2f}]",
            floor=None if row.real is None else (row.real.value, (row.real.low, row.real.high)),
        )
        for row in rows
        if row.generated is not None
    ]
    chart = whiskers(marks, low=0.0, high=1.0, reference=0.5, reference_label="chance")
    cells = "".join(_finding(row) for row in rows)
    return (
        '<section id="findings">\n<h2>Obedience to the text</h2>\n'
        '<p class="aside">AUROC of each finding\'s detector between generated volumes whose prompt names the finding '
        "and those whose prompt denies it: 1 obeys always, 0.5 does not listen. FID and FVD do not tell.</p>\n"
        '<div class="charts"><figure><figcaption>Generated volumes '
        '<span class="key"><span class="swatch real"></span>the same detector on real volumes</span></figcaption>'
        f'{chart}</figure>\n<div class="wide"><table><thead><tr><th>finding</th>'
        '<th class="number">n named / denied</th><th class="number">real</th>'
        '<th class="number">prompts shuffled</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div></div>\n</section>\n"
    )


def pairs_section(shown: Sequence[ShownPair]) -> str:
    """Counterfactual pairs: numbers of all, pictures of the first of each finding; empty without pairs."""
    if not shown:
        return ""
    groups: dict[str, list[ShownPair]] = {}
    for item in shown:
        groups.setdefault(item.pair.label, []).append(item)
    rows = "".join(_summary(label, group) for label, group in groups.items())
    pictures = "".join(_pair(label, group[0]) for label, group in groups.items())
    return (
        '<section id="pairs">\n<h2>One finding changed</h2>\n'
        '<p class="aside">Pairs from the same noise, whose prompts differ in the sentence about one finding alone. '
        "What changes should lie where the finding lies, and little else should.</p>\n"
        '<div class="wide"><table><thead><tr><th>finding</th><th class="number">pairs</th>'
        '<th class="number">detector higher with it</th><th class="number">mean change</th>'
        '<th class="number">voxels changed by &gt; 50 HU</th><th class="number">of it on the named side</th>'
        '<th class="number">centre of the change</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
        '<p class="aside">Pictures: the first pair of each. <span class="swatch denser"></span>denser with the '
        'finding, <span class="swatch thinner"></span>less dense; full colour at 400 HU.</p>\n'
        f"{pictures}</section>\n"
    )


def _finding(row: FindingRow) -> str:
    counts = "too few" if row.generated is None else f"{row.generated.num_positive} / {row.generated.num_negative}"
    real, shuffled = ("–" if value is None else f"{value.value:.2f}" for value in (row.real, row.shuffled))
    return (
        f'<tr><th scope="row">{escape(row.finding)}</th><td class="number">{counts}</td>'
        f'<td class="number">{real}</td><td class="number">{shuffled}</td></tr>\n'
    )


def _summary(label: str, group: Sequence[ShownPair]) -> str:
    changes = [item.change for item in group]
    seen = [item.is_seen for item in group if item.is_seen is not None]
    on_side = [change.share_on_side for change in changes if change.share_on_side is not None]
    centres = [change.centre_mm_zyx for change in changes if change.centre_mm_zyx is not None]
    cells = (
        str(len(group)),
        f"{sum(seen)} of {len(seen)}" if seen else "–",
        f"{np.mean([change.mean_abs_hu for change in changes]):.1f} HU",
        f"{np.mean([change.changed_share for change in changes]):.1%}",
        f"{np.mean(on_side):.0%}" if on_side else "",
        _place(np.mean(centres, axis=0)) if centres else "–",
    )
    return (
        f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td class=number>{cell}</td>" for cell in cells)}</tr>\n'
    )


def _place(centre_mm_zyx: np.ndarray) -> str:
    """A place relative to the middle of the volume, in a radiologist's words."""
    z, y, x = (round(float(value)) for value in centre_mm_zyx)
    words = (
        f"{abs(x)} mm {'left' if x > 0 else 'right'}",
        f"{abs(y)} mm {'back' if y > 0 else 'front'}",
        f"{abs(z)} mm {'up' if z > 0 else 'down'}",
    )
    return ", ".join(words)


def _pair(label: str, item: ShownPair) -> str:
    first, second = (read_nifti(path, hu_policy="already_hu") for path in (item.with_finding, item.without_finding))
    z, y, x = _heart_of_change(first, second)
    windows = ("lung",) if item.pair.finding in IN_LUNG_WINDOW else ("mediastinum",)
    images = {
        "named": film(first, (z, y, x), windows, SHOWN_PLANES),
        "denied": film(second, (z, y, x), windows, SHOWN_PLANES),
        "difference": difference_film(first, second, (z, y, x), SHOWN_PLANES),
    }
    figures = "".join(
        f"<figure><figcaption><strong>{title}</strong></figcaption>{picture(image, f'{label}, {title}')}</figure>"
        for title, image in images.items()
    )
    pair = item.pair
    return (
        f'<article class="exhibit pair">\n<h3>{escape(label)}<span>{windows[0]} window</span></h3>\n'
        f'<div class="three">{figures}</div>\n<p class="prompt">{escape(pair.start)}<mark>{escape(pair.named)}</mark> '
        f"<del>{escape(pair.denied)}</del> {escape(pair.rest)}</p>\n</article>\n"
    )


def _heart_of_change(first: CTVolume, second: CTVolume) -> tuple[int, int, int]:
    """Index (z, y, x) round which two volumes differ most, averaged over a few centimetres."""
    change = torch.from_numpy(first.voxels_hu.astype(np.float32) - second.voxels_hu)[None, None]
    size = [max(1, round(BLOB_MM / mm)) // 2 * 2 + 1 for mm in first.spacing_mm_zyx]
    mean = avg_pool3d(change, size, stride=1, padding=[side // 2 for side in size])[0, 0].abs()
    z, y, x = (int(place) for place in np.unravel_index(int(mean.argmax()), mean.shape))
    return z, y, x
