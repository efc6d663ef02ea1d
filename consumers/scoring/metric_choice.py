"""Metric choice: find the metric under which a collection's own points have most neighbours of their own group.

The transform is fitted to one half of a sample and judged on the other, each point left out in turn, and the other
way round. Another metric than the present one is chosen only if it is better by more than chance: the choice is
stable.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumers.scoring.calibration import LookParts
from consumers.scoring.metric import (
    DEFAULT_METRIC,
    Metric,
    MetricCheck,
    normalise_rows,
    whitening,
    within_class_covariance,
)
from consumers.scoring.sampling import merchant_category
from infra.array_types import Doubles, Floats
from infra.qdrant.contract import Index
from schemas.ranking import INTENTS

SAMPLE_SIZE, LOOKS_PER_STEP = 2_000, 250
"""Points of the sample, and how many are read in a step."""
SHRINKAGES = (0.1, 0.3)
COLOUR_FACTORS = (0.0, 1 / 3, 2 / 3, 1.0, 5 / 3)
NEIGHBOURS = 5
"""Nearest neighbours of a point whose groups are compared with its own."""
MIN_JUDGED = 60
"""Fewest points by which a choice is judged: of fewer, chance decides."""
STANDARD_ERRORS = 3.0
"""A better metric is better by so many standard errors of the paired difference. Of fifteen, chance puts one ahead
by 2 in 5 of 40 collections of noise, by 3 in one of them (tests/consumers/scoring/test_metric_choice.py)."""

Setting = tuple[float, float]
"""Shrinkage of the covariance, 0 for no transform, and factor of the colour weight."""
MetricSteps = Generator[None, None, Metric]


@dataclass(frozen=True, eq=False)
class GroupedLooks:
    """Points with a group: object parts [n, d], colour parts [n, c], their groups [n], and their items [n]."""

    objects: Floats
    colours: Floats
    groups: tuple[str, ...]
    items: tuple[str, ...]

    def subset(self, rows: Sequence[int]) -> "GroupedLooks":
        """Return some of the points."""
        groups, items = (tuple(values[row] for row in rows) for values in (self.groups, self.items))
        return GroupedLooks(self.objects[rows], self.colours[rows], groups, items)


def fit_metric(index: Index, parts: LookParts, tenant: str, present: Metric) -> MetricSteps:
    """Sample a tenant's points step by step, and return their metric. Raises Unavailable, as the index does."""
    payloads = index.sample(tenant, SAMPLE_SIZE)
    grouped = {id: category for id, payload in payloads.items() if (category := merchant_category(payload))}
    ids, looks = list(grouped), dict[str, Floats]()
    for first in range(0, len(ids), LOOKS_PER_STEP):
        looks |= index.vectors(ids[first : first + LOOKS_PER_STEP])
        yield
    found = [id for id in ids if id in looks]
    if not found:
        return present
    rows = np.stack([looks[id] for id in found])
    sample = GroupedLooks(
        parts.object(rows),
        parts.colour(rows),
        tuple(grouped[id] for id in found),
        tuple(str(payloads[id]["item_id"]) for id in found),
    )
    return (yield from choose_metric(sample, present))


def choose_metric(sample: GroupedLooks, present: Metric = DEFAULT_METRIC) -> MetricSteps:
    """Return the best metric for a collection; `present` unless another one is better by more than chance."""
    if len(sample.groups) < 2 * MIN_JUDGED or len(set(sample.groups)) < 2:
        return present
    halves = sample.subset(range(0, len(sample.groups), 2)), sample.subset(range(1, len(sample.groups), 2))
    own: Setting = present.shrinkage, present.colour_factor
    shares: dict[Setting, Doubles] = {}
    for setting in [own, *((shrinkage, f) for shrinkage in (0.0, *SHRINKAGES) for f in COLOUR_FACTORS)]:
        shares[setting] = _judge(halves, setting)
        yield
    best = max(shares, key=lambda setting: float(shares[setting].mean()))
    gain = shares[best] - shares[own]
    chosen = best if gain.mean() > _margin(gain) else own
    default = shares[0.0, 1.0]
    check = MetricCheck(
        points=len(default),
        groups=len(set(sample.groups)),
        default=float(default.mean()),
        own=float(shares[chosen].mean()),
        margin=_margin(shares[chosen] - default),
    )
    return replace(_fit(sample, chosen), check=check)


def _fit(sample: GroupedLooks, setting: Setting) -> Metric:
    """Return the metric with this setting, fitted to a sample."""
    shrinkage, colour_factor = setting
    covariance = within_class_covariance(sample.objects, sample.groups) if shrinkage else None
    if covariance is None:
        return Metric(colour_factor=colour_factor)
    return Metric(whitening(covariance, shrinkage), colour_factor, shrinkage)


def _judge(halves: tuple[GroupedLooks, GroupedLooks], setting: Setting) -> Doubles:
    """Return for each point the share of its neighbours in its group, under a metric of the other half."""
    first, second = halves
    return np.concatenate(
        [_same_group_shares(second, _fit(first, setting)), _same_group_shares(first, _fit(second, setting))]
    )


def _same_group_shares(sample: GroupedLooks, metric: Metric) -> Doubles:
    weights = metric.adapt_weights(INTENTS["similar"])
    share = weights.colour / (weights.object + weights.colour)
    objects = sample.objects if metric.transform is None else normalise_rows(sample.objects @ metric.transform)
    scores = (1 - share) * objects @ objects.T + share * sample.colours @ sample.colours.T
    items, groups = np.array(sample.items), np.array(sample.groups)
    scores[items[:, None] == items] = -np.inf
    nearest = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    shares: Doubles = (groups[nearest] == groups[:, None]).mean(axis=1)
    return shares


def _margin(differences: Doubles) -> float:
    """Return STANDARD_ERRORS standard errors of the mean of paired differences."""
    return STANDARD_ERRORS * float(differences.std() / np.sqrt(len(differences)))
