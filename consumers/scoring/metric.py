"""Collection metric: how the object parts of a collection's looks are compared, fitted to its own groups.

Pictures of one group, such as a category of the merchant, differ in ground, light and angle. The metric suppresses
the directions in which they differ. Source: A. Hatch, S. Kajarekar and A. Stolcke, Within-class covariance
normalization for SVM-based speaker recognition (WCCN), Interspeech 2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.scoring.arrays import pack_array, unpack_array
from infra.array_types import Doubles, Floats
from schemas.ranking import Weights

MIN_GROUPED = 40
"""Fewest points in groups of two or more from which a covariance is estimated."""
MIN_MEMBERS, MAX_CATEGORIES = 3, 500
"""Fewest points of a category with a centroid, and most centroids: they lie in a note of the index."""
TEMPERATURE = 0.1
"""Scale of similarities to centroids: a category that is more similar by this is e times as likely. Of 296 grocery
photos the likeliest of 42 categories is right in .89, of 341 photos of clothes that of 10 in .86."""


@dataclass(frozen=True)
class MetricCheck:
    """How a collection has chosen its metric: by the neighbours of its own points, each left out in turn.

    `default` and `own` are the shares of the nearest neighbours in the same group, 0 to 1, without and with the
    metric; chance alone makes a difference of up to `margin`.
    """

    points: int
    groups: int
    default: float
    own: float
    margin: float


@dataclass(frozen=True, eq=False)
class Metric:
    """How the looks of a collection are compared.

    `transform` [d, d] multiplies object parts before their cosine; None: the cosine is that of the looks.
    `colour_factor` multiplies the colour weight of an intent. `category_weight` is the boost of a hit whose
    category is certain to be the query's; `centroids` [c, d] are the unit means of `categories`, transformed.
    """

    transform: Floats | None = None
    colour_factor: float = 1.0
    shrinkage: float = 0.0
    category_weight: float = 0.0
    categories: tuple[str, ...] = ()
    centroids: Floats | None = None
    check: MetricCheck | None = None

    def adapt_weights(self, weights: Weights) -> Weights:
        """Return the weights of an intent, with the colour weight that suits the collection."""
        if self.colour_factor == 1.0:
            return weights
        return weights.model_copy(update={"colour": min(weights.colour * self.colour_factor, 1.0)})

    def object_cosines(self, part: Floats, others: Floats) -> Floats:
        """Return float32 [n]: the similarity of an object part [d] to n others [n, d]."""
        return (self.adapt(others) @ self.adapt(part[None])[0]).astype(np.float32)

    def adapt(self, parts: Floats) -> Floats:
        """Return object parts [n, d] as they are compared."""
        return parts if self.transform is None else normalise_rows(parts @ self.transform)

    def category_boosts(self, part: Floats) -> dict[str, float]:
        """Return the boost of each category for a query with this object part [d]: its likelihood times the weight.

        The likelihood is the softmax of the similarities to the centroids.
        """
        if self.centroids is None or self.category_weight == 0:
            return {}
        likelihoods = softmax(self.adapt(part[None]) @ self.centroids.T)[0]
        return {name: self.category_weight * float(p) for name, p in zip(self.categories, likelihoods, strict=True)}

    def describe(self) -> str:
        """Return one line for people: what the collection has chosen, and by how much it is better."""
        if self.check is None:
            return "default: too few items with a category to choose by"
        kind = "default" if self.transform is None else f"own, shrinkage {self.shrinkage:g}"
        check = self.check
        weights = f"colour weight x {self.colour_factor:.2g}, category boost {self.category_weight:g}"
        return (
            f"{kind}, {weights}: of the nearest neighbours of {check.points} pictures in {check.groups} categories "
            f"{check.own:.0%} are of the same category, {check.default:.0%} by default"
        )

    def note(self) -> dict[str, object]:
        """Return the metric as plain JSON values."""
        return {
            "transform": None if self.transform is None else pack_array(self.transform),
            "colour_factor": self.colour_factor,
            "shrinkage": self.shrinkage,
            "category_weight": self.category_weight,
            "categories": list(self.categories),
            "centroids": None if self.centroids is None else pack_array(self.centroids),
            "check": None if self.check is None else asdict(self.check),
        }


DEFAULT_METRIC = Metric()


def parse_metric(note: Mapping[str, object]) -> Metric:
    """Return the metric in a note; the default metric if there is none. Raises ValueError for an invalid array."""
    match note:
        case {
            "transform": transform,
            "colour_factor": int() | float() as factor,
            "shrinkage": int() | float() as shrinkage,
            "category_weight": int() | float() as weight,
            "categories": [*names],
            "centroids": centroids,
            **rest,
        }:
            axes, means = (
                None if array is None else unpack_array(array).astype(np.float32)
                for array in (transform, centroids)
            )
            categories = tuple(map(str, names))
            return Metric(axes, factor, shrinkage, weight, categories, means, _parse_check(rest.get("check")))
    return DEFAULT_METRIC


def _parse_check(values: object) -> MetricCheck | None:
    match values:
        case {"points": int(points), "groups": int(groups), "default": default, "own": own, "margin": margin}:
            return MetricCheck(points, groups, float(default), float(own), float(margin))
    return None


def within_class_covariance(parts: Floats, groups: Sequence[str]) -> Doubles | None:
    """Return the covariance of parts [n, d] around the means of their groups, float64 [d, d].

    Groups of one do not count. None if fewer than MIN_GROUPED points are left.
    """
    scatter, members, freedom = np.zeros((parts.shape[1],) * 2), 0, 0
    names, numbers = np.unique(np.array(groups), return_inverse=True)
    for number in range(len(names)):
        rows = parts[numbers == number].astype(np.float64)
        if len(rows) > 1:
            centred = rows - rows.mean(0)
            scatter += centred.T @ centred
            members, freedom = members + len(rows), freedom + len(rows) - 1
    return scatter / freedom if members >= MIN_GROUPED else None


def whitening(covariance: Doubles, shrinkage: float) -> Floats:
    """Return the symmetric inverse square root of a covariance that is shrunk towards its mean variance.

    `shrinkage`, above 0 and up to 1, is the weight of the mean variance. The result has the mean diagonal 1.
    """
    size = len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    values, vectors = np.linalg.eigh(shrunk)
    root: Doubles = vectors * values**-0.5 @ vectors.T
    return (root * size / np.trace(root)).astype(np.float32)


def category_means(rows: Floats, groups: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Return the groups with MIN_MEMBERS points or more, and their unit means [c, d], of adapted parts [n, d].

    At most MAX_CATEGORIES, those with most points.
    """
    names, numbers, counts = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    largest = [n for n in np.argsort(-counts, kind="stable")[:MAX_CATEGORIES] if counts[n] >= MIN_MEMBERS]
    means = [rows[numbers == n].mean(axis=0) for n in largest]
    return tuple(str(names[n]) for n in largest), normalise_rows(np.array(means).reshape(-1, rows.shape[1]))


def softmax(similarities: Floats) -> Floats:
    """Return the likelihoods [n, c] of c categories from the similarities [n, c] to their centroids."""
    exponents = np.exp((similarities - similarities.max(axis=1, keepdims=True)) / TEMPERATURE)
    likelihoods: Floats = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    return likelihoods


def normalise_rows(rows: NDArray[np.floating]) -> Floats:
    """Return rows [n, d] at unit length, float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
