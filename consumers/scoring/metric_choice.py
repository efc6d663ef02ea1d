"""Metric choice: find the metric under which a collection's own points have most neighbours of their own group.

The transform is fitted to one half of a sample and judged on the other, each point left out in turn, and the other
way round. Another metric than the present one is chosen only if it is better by more than chance: the choice is
stable.
"""

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumers.points.look_payload import WHOLE_VIEW, whole_view_of
from consumers.scoring.group_statistics import (
    category_means,
    normalise_rows,
    softmax,
    whitening,
    within_class_covariance,
)
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC, Metric, MetricCheck
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

CATEGORY_WEIGHTS = (0.0, 0.1, 0.2, 0.4)
MIN_COVERED = 0.8
"""Least share of points in categories with a centroid: the others would fall behind for want of a boost."""


@dataclass(frozen=True)
class Setting:
    """A way to compare looks: shrinkage of the covariance (0: no transform), colour factor, and category weight.

    `omitted` is the number of last dimensions of object parts that are left out: 0, or those of a fitted head.
    `whole_view` says that queries have their whole view alone.
    """

    shrinkage: float = 0.0
    colour_factor: float = 1.0
    category_weight: float = 0.0
    omitted: int = 0
    whole_view: bool = False


MetricSteps = Generator[None, None, Metric]


@dataclass(frozen=True, eq=False)
class GroupedLooks:
    """Points with a group: object parts [n, d], colour parts [n, c], their groups [n], and their items [n].

    `whole` [n, d] are the object parts of their whole views alone; None if those of too few are known. The last
    `head_size` dimensions of object parts are those of a fitted head.
    """

    objects: Floats
    colours: Floats
    groups: tuple[str, ...]
    items: tuple[str, ...]
    head_size: int = 0
    whole: Floats | None = None

    def subset(self, rows: Sequence[int]) -> "GroupedLooks":
        """Return some of the points."""
        groups, items = (tuple(values[row] for row in rows) for values in (self.groups, self.items))
        whole = None if self.whole is None else self.whole[rows]
        return GroupedLooks(self.objects[rows], self.colours[rows], groups, items, self.head_size, whole)


def fit_metric(index: Index, parts: LookParts, tenant: str, present: Metric) -> MetricSteps:
    """Sample a tenant's points step by step, and return their metric. Raises Unavailable, as the index does.

    It is fitted to the studio pictures or to the photos, whichever are more.
    """
    payloads = index.sample(tenant, SAMPLE_SIZE)
    studio = sum(payload.get("studio") == "true" for payload in payloads.values()) * 2 > len(payloads)
    payloads = {id: payload for id, payload in payloads.items() if (payload.get("studio") == "true") == studio}
    grouped = {id: category for id, payload in payloads.items() if (category := merchant_category(payload))}
    ids, looks = list(grouped), dict[str, Floats]()
    for first in range(0, len(ids), LOOKS_PER_STEP):
        looks |= index.vectors(ids[first : first + LOOKS_PER_STEP])
        yield
    found = [id for id in ids if id in looks and parts.has_unit_parts(looks[id])]  # a broken disk changes vectors
    if not found:
        return present
    rows = np.stack([looks[id] for id in found])
    sample = GroupedLooks(
        parts.object(rows),
        parts.colour(rows),
        tuple(grouped[id] for id in found),
        tuple(str(payloads[id]["item_id"]) for id in found),
        parts.head.size,
        None if studio else (yield from _whole_views(index, parts, dict(zip(found, rows, strict=True)))),
    )
    return replace((yield from choose_metric(sample, present)), studio=studio)


def _whole_views(
    index: Index, parts: LookParts, looks: Mapping[str, Floats]
) -> Generator[None, None, Floats | None]:
    """Return the object parts of the whole views of some points, [n, d]; None if fewer than MIN_COVERED have any.

    Points of an earlier version have none. Their look takes its place.
    """
    ids, stored = list(looks), dict[str, Floats]()
    for first in range(0, len(ids), LOOKS_PER_STEP):
        payloads = index.payloads(ids[first : first + LOOKS_PER_STEP], [WHOLE_VIEW])
        found = {id: whole_view_of(payload) for id, payload in payloads.items()}
        stored |= {id: part for id, part in found.items() if part is not None and len(part) == parts.object_size}
        yield
    if len(stored) < MIN_COVERED * len(ids):
        return None
    return normalise_rows(np.stack([stored[id] if id in stored else parts.object(looks[id]) for id in ids]))


def choose_metric(sample: GroupedLooks, present: Metric = DEFAULT_METRIC) -> MetricSteps:
    """Return the best metric for a collection; `present` unless another one is better by more than chance."""
    if len(sample.groups) < 2 * MIN_JUDGED or len(set(sample.groups)) < 2:
        return present
    halves = _halves(sample)
    own = Setting(
        present.shrinkage, present.colour_factor, present.category_weight, present.omitted,
        present.whole_view and sample.whole is not None,
    )  # fmt: skip
    without_head = Setting(omitted=sample.head_size)
    shares = {setting: _judge(halves, setting) for setting in (Setting(), own, without_head)}
    omitted = sample.head_size if shares[without_head].mean() > shares[Setting()].mean() else 0
    for shrinkage, factor in itertools.product((0.0, *SHRINKAGES), COLOUR_FACTORS):
        setting = Setting(shrinkage, factor, omitted=omitted, whole_view=own.whole_view)
        shares[setting] = _judge(halves, setting)
        yield
    best = _best(shares)
    for weight in CATEGORY_WEIGHTS:
        setting = replace(best, category_weight=weight)
        shares[setting] = _judge(halves, setting)
        yield
    best = _best(shares)
    if sample.whole is not None:
        other = replace(best, whole_view=not best.whole_view)
        shares[other] = _judge(halves, other)
        best = other if _is_better(shares[other], shares[best]) else best
    chosen = best if _is_better(shares[best], shares[own]) else own
    default = shares[Setting()]
    if shares[chosen].mean() < default.mean():
        chosen = Setting()
    check = MetricCheck(
        points=len(default),
        groups=len(set(sample.groups)),
        default=float(default.mean()),
        own=float(shares[chosen].mean()),
        margin=_margin(shares[chosen] - default),
    )
    return replace(_fit(sample, chosen), check=check)


def _halves(sample: GroupedLooks) -> tuple[GroupedLooks, GroupedLooks]:
    """Return two halves of a sample; each has half of the items of each group."""
    keys = list(zip(sample.groups, sample.items, strict=True))
    half = {key: number % 2 for number, key in enumerate(sorted(set(keys)))}
    first, second = ([row for row, key in enumerate(keys) if half[key] == side] for side in (0, 1))
    return sample.subset(first), sample.subset(second)


def _fit(sample: GroupedLooks, setting: Setting) -> Metric:
    """Return the metric with this setting, fitted to a sample."""
    metric = Metric(colour_factor=setting.colour_factor, omitted=setting.omitted, whole_view=setting.whole_view)
    objects = metric.adapt(sample.objects)
    covariance = within_class_covariance(objects, sample.groups) if setting.shrinkage else None
    if covariance is not None:
        metric = replace(metric, transform=whitening(covariance, setting.shrinkage), shrinkage=setting.shrinkage)
    if setting.category_weight == 0:
        return metric
    categories, centroids = category_means(metric.adapt(sample.objects), sample.groups)
    if sum(group in categories for group in sample.groups) < MIN_COVERED * len(sample.groups):
        return metric
    return replace(metric, category_weight=setting.category_weight, categories=categories, centroids=centroids)


def _judge(halves: tuple[GroupedLooks, GroupedLooks], setting: Setting) -> Doubles:
    """Return for each point the share of its neighbours in its group, under a metric of the other half."""
    first, second = halves
    return np.concatenate(
        [_same_group_shares(second, _fit(first, setting)), _same_group_shares(first, _fit(second, setting))]
    )


def _same_group_shares(sample: GroupedLooks, metric: Metric) -> Doubles:
    weights = metric.adapt_weights(INTENTS["similar"])
    share = weights.colour / (weights.object + weights.colour)
    objects = metric.adapt(sample.objects)
    queries = metric.adapt(sample.whole) if metric.whole_view and sample.whole is not None else objects
    scores = (1 - share) * queries @ objects.T + share * sample.colours @ sample.colours.T
    if metric.centroids is not None:
        scores += metric.category_weight * _likelihoods(queries, sample.groups, metric)
    items, groups = np.array(sample.items), np.array(sample.groups)
    scores[items[:, None] == items] = -np.inf
    nearest = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    shares: Doubles = (groups[nearest] == groups[:, None]).mean(axis=1)
    return shares


def _likelihoods(objects: Floats, groups: Sequence[str], metric: Metric) -> Floats:
    """Return [n, n]: how likely point i is of the category of point j; 0 if that has no centroid."""
    numbers = {name: number for number, name in enumerate(metric.categories)}
    assert metric.centroids is not None
    padded = np.concatenate(
        [softmax(objects @ metric.centroids.T), np.zeros((len(objects), 1), np.float32)], axis=1
    )
    return padded[:, [numbers.get(group, len(numbers)) for group in groups]]


def _best(shares: Mapping[Setting, Doubles]) -> Setting:
    return max(shares, key=lambda setting: float(shares[setting].mean()))


def _is_better(shares: Doubles, others: Doubles) -> bool:
    """Return whether shares are higher than others, [n] each, by more than chance."""
    gain = shares - others
    return bool(gain.mean() > _margin(gain))


def _margin(differences: Doubles) -> float:
    """Return STANDARD_ERRORS standard errors of the mean of paired differences."""
    return STANDARD_ERRORS * float(differences.std() / np.sqrt(len(differences)))
