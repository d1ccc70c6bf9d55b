"""The scores of held-out and of generated volumes over one axis, with the threshold, as inline SVG without script."""

import numpy as np
from jaxtyping import Float64

WIDTH, HEIGHT, BASE, HEAD = 520, 200, 164, 22
NUM_BINS = 40


def score_chart(heldout: Float64[np.ndarray, "h"], generated: Float64[np.ndarray, "g"], threshold: float) -> str:
    """Two histograms, each of area one: near 0 at the left, as far from training as from other volumes at 1."""
    highest = max(2.0, float(np.ceil(np.quantile(heldout, 0.98))))  # what scores higher stands in the last bin
    edges = np.linspace(0, highest, NUM_BINS + 1)
    shares = [np.histogram(scores.clip(0, highest), edges)[0] / len(scores) for scores in (heldout, generated)]
    largest = max(float(share.max()) for share in shares)
    outlines = [_outline(edges / highest, share / largest) for share in shares]
    anchors = ("start", "middle", "middle", "middle", "end")
    ticks = "".join(
        f'<text x="{quarter * WIDTH / 4:.1f}" y="{BASE + 20}" text-anchor="{anchor}">{quarter * highest / 4:g}</text>'
        for quarter, anchor in enumerate(anchors)
    )
    at = min(threshold / highest, 1) * WIDTH
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Scores of held-out and of generated volumes">'
        f'<polygon class="real-area" points="0,{BASE} {outlines[0]} {WIDTH},{BASE}"/>'
        f'<polyline class="fake-line" points="{outlines[1]}"/>'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{BASE + 0.5}" y2="{BASE + 0.5}"/>{ticks}'
        f'<line class="median" x1="{at:.1f}" x2="{at:.1f}" y1="{HEAD - 6}" y2="{BASE}"/>'
        f'<text class="note" x="{at:.1f}" y="10" text-anchor="middle">flagged below {threshold:.2f}</text></svg>'
    )


def _outline(places: Float64[np.ndarray, "e"], heights: Float64[np.ndarray, "b"]) -> str:
    """Corners of a histogram whose places and heights are in [0, 1]."""
    points = []
    for left, right, height in zip(places[:-1], places[1:], heights, strict=True):
        y = BASE - height * (BASE - HEAD)
        points.append(f"{left * WIDTH:.1f},{y:.1f} {right * WIDTH:.1f},{y:.1f}")
    return " ".join(points)
