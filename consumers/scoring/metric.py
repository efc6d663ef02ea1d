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
    `colour_factor` multiplies the colour weight of an intent.
    """

    transform: Floats | None = None
    colour_factor: float = 1.0
    shrinkage: float = 0.0
    check: MetricCheck | None = None

    def adapt_weights(self, weights: Weights) -> Weights:
        """Return the weights of an intent, with the colour weight that suits the collection."""
        if self.colour_factor == 1.0:
            return weights
        return weights.model_copy(update={"colour": min(weights.colour * self.colour_factor, 1.0)})

    def object_cosines(self, part: Floats, others: Floats) -> Floats:
        """Return float32 [n]: the similarity of an object part [d] to n others [n, d]."""
        if self.transform is None:
            return (others @ part).astype(np.float32)
        rows = normalise_rows(np.concatenate([part[None], others]) @ self.transform)
        return (rows[1:] @ rows[0]).astype(np.float32)

    def describe(self) -> str:
        """Return one line for people: what the collection has chosen, and by how much it is better."""
        if self.check is None:
            return "default: too few items with a category to choose by"
        kind = "default" if self.transform is None else f"own, shrinkage {self.shrinkage:g}"
        return (
            f"{kind}, colour weight x {self.colour_factor:.2g}: of the nearest neighbours of {self.check.points} "
            f"pictures in {self.check.groups} categories {self.check.own:.0%} are of the same category, "
            f"{self.check.default:.0%} by default"
        )

    def note(self) -> dict[str, object]:
        """Return the metric as plain JSON values."""
        return {
            "transform": None if self.transform is None else pack_array(self.transform),
            "colour_factor": self.colour_factor,
            "shrinkage": self.shrinkage,
            "check": None if self.check is None else asdict(self.check),
        }


DEFAULT_METRIC = Metric()


def parse_metric(note: Mapping[str, object]) -> Metric:
    """Return the metric in a note; the default metric if there is none. Raises ValueError for an invalid array."""
    match note:
        case {"transform": transform, "colour_factor": float(factor), "shrinkage": float(shrinkage), **rest}:
            axes = None if transform is None else unpack_array(transform).astype(np.float32)
            return Metric(axes, factor, shrinkage, _parse_check(rest.get("check")))
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


def normalise_rows(rows: NDArray[np.floating]) -> Floats:
    """Return rows [n, d] at unit length, float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
