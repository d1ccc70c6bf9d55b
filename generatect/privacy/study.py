"""The audit itself: copies, planted copies, second evidence, membership."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from generatect.privacy.copies import Nearness, chance_of, nearness, of_other_patients, p_values, threshold
from generatect.privacy.embedded import Embedder
from generatect.privacy.evidence import correlation
from generatect.privacy.folder import AuditedFolder, AuditedVolume
from generatect.privacy.membership import Membership, membership
from generatect.privacy.planted import altered
from generatect.privacy.proportion import Proportion
from generatect.privacy.requirements import NOT_REAL, UNSEEN, require_other_images
from generatect.privacy.space import Space, distances
from generatect.progress import Progress

NUM_PLANTED = 40
"""Training volumes of which altered copies are planted, or all if they are fewer."""


@dataclass(frozen=True)
class Match:
    """A generated volume and the training volume nearest to it.

    Attributes:
        generated: the volume.
        train: the nearest training volume.
        score: see `Nearness`.
        p_value: of the score; see `p_values`.
        correlation: of the two volumes' grey values; see `correlation`.
        correlation_p: share of held-out volumes as alike to their nearest training volume, likewise.
        is_flagged: its p-value is at most the false-positive rate.
        is_confirmed: it is flagged, and as much by its grey values.
    """

    generated: AuditedVolume
    train: AuditedVolume
    score: float
    p_value: float
    correlation: float
    correlation_p: float
    is_flagged: bool
    is_confirmed: bool


@dataclass(frozen=True)
class Findings:
    """What the audit measured.

    Attributes:
        rate: false-positive rate of the flags.
        threshold: the score below which a volume is flagged.
        matches: of all generated volumes, the nearest first.
        heldout_scores: what fresh volumes score.
        planted: planted copies that were flagged.
        membership: the test of who was in the training set.
        num_components: of the space.
    """

    rate: float
    threshold: float
    matches: tuple[Match, ...]
    heldout_scores: Float64[np.ndarray, "h"]
    planted: Proportion
    membership: Membership
    num_components: int

    @property
    def flagged(self) -> Proportion:
        """Generated volumes that are flagged."""
        return Proportion(sum(match.is_flagged for match in self.matches), len(self.matches))

    @property
    def chance(self) -> float:
        """See `chance_of`."""
        return chance_of(self.flagged.count, len(self.matches), len(self.heldout_scores), self.rate)

    @property
    def num_confirmed(self) -> int:
        """Flagged volumes that are confirmed by their grey values."""
        return sum(match.is_confirmed for match in self.matches)


def examine(
    embedder: Embedder,
    train: AuditedFolder,
    generated: AuditedFolder,
    heldout: AuditedFolder,
    rate: float,
    show: Progress,
) -> Findings:
    """Compares three embedded folders.

    Args:
        embedder: gives their features.
        train: what the model saw.
        generated: what it makes.
        heldout: real volumes that it never saw.
        rate: false-positive rate of the flags.
        show: is told of every planted copy.

    Raises:
        InputError: a held-out volume is a training volume, or a generated one a held-out volume.
    """
    planted = _planted_features(embedder, train, show)
    features = [embedder.features(folder) for folder in (train, generated, heldout)]
    space = Space.of(np.concatenate(features))
    in_train, in_generated, in_heldout = (space.place(rows) for rows in features)
    fresh = nearness(in_heldout, in_train, in_heldout, of_other_patients(heldout.patients))
    usual = float(np.median(fresh.distance))
    require_other_images(train, heldout, distances(in_heldout, in_train), usual, UNSEEN)
    require_other_images(heldout, generated, distances(in_generated, in_heldout), usual, NOT_REAL)
    made = nearness(in_generated, in_train, in_heldout)
    copied = nearness(space.place(planted), in_train, in_heldout)
    fresh_alike = _correlations(embedder, heldout.volumes, train, fresh)
    to_generated = distances(np.concatenate([in_train, in_heldout]), in_generated).min(1)
    return Findings(
        rate=rate,
        threshold=threshold(fresh.score, rate),
        matches=_matches(embedder, train, generated, made, fresh.score, fresh_alike, rate),
        heldout_scores=fresh.score,
        planted=Proportion(int((p_values(copied.score, fresh.score) <= rate).sum()), len(planted)),
        membership=membership(to_generated[: len(train)], to_generated[len(train) :], train.patients, heldout.patients),
        num_components=space.axes.shape[1],
    )


def _planted_features(embedder: Embedder, train: AuditedFolder, show: Progress) -> Float64[np.ndarray, "n d"]:
    """Features of altered copies of training volumes, spread evenly over the folder."""
    chosen = np.unique(np.linspace(0, len(train) - 1, NUM_PLANTED).round().astype(int))
    features = []
    for done, index in enumerate(chosen):
        volume = embedder.reading.read(train.volumes[index].path).volume
        prepared = embedder.embedding.prepared(altered(volume, np.random.default_rng(int(index))))
        features.append(embedder.embedding.of(prepared[None])[0].double().numpy())
        show("copies planted", done + 1, len(chosen))
    return np.concatenate(features)


def _matches(
    embedder: Embedder,
    train: AuditedFolder,
    generated: AuditedFolder,
    made: Nearness,
    fresh_scores: Float64[np.ndarray, "h"],
    fresh_alike: Float64[np.ndarray, "h"],
    rate: float,
) -> tuple[Match, ...]:
    alike = _correlations(embedder, generated.volumes, train, made)
    chances, alike_chances = p_values(made.score, fresh_scores), p_values(-alike, -fresh_alike)
    found = []
    for row in np.argsort(made.score, kind="stable"):
        is_flagged = bool(chances[row] <= rate)
        found.append(
            Match(
                generated=generated.volumes[row],
                train=train.volumes[made.nearest[row]],
                score=float(made.score[row]),
                p_value=float(chances[row]),
                correlation=float(alike[row]),
                correlation_p=float(alike_chances[row]),
                is_flagged=is_flagged,
                is_confirmed=is_flagged and bool(alike_chances[row] <= rate),
            )
        )
    return tuple(found)


def _correlations(
    embedder: Embedder, volumes: Sequence[AuditedVolume], train: AuditedFolder, near: Nearness
) -> Float64[np.ndarray, "n"]:
    """Of each volume with its nearest training volume."""
    pairs = zip(volumes, near.nearest, strict=True)
    return np.array(
        [correlation(embedder.coarse(volume), embedder.coarse(train.volumes[index])) for volume, index in pairs]
    )
