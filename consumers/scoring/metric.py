"""Collection metric: how the object parts of a collection's looks are compared, fitted to its own groups.

Pictures of one category of the merchant differ in ground, light and angle. The metric suppresses the directions in
which they differ, weights colours as the categories do, and prefers hits of the likely category of the query.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from consumers.scoring.arrays import pack_array, unpack_array
from consumers.scoring.group_statistics import normalise_rows, softmax
from infra.array_types import Floats
from schemas.ranking import Weights


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
    `studio` is the kind of pictures that it was fitted to, studio pictures or photos; it holds for queries of that
    kind alone: fitted to the demo's studio pictures, it took the very product from .98 of its photos to .57.
    `omitted` is the number of last dimensions of object parts that are left out: those of a fitted head, where the
    collection is better without it. With `whole_view`, a photo is searched by its whole alone, without its second
    view; the looks of the index stay as they are.
    """

    transform: Floats | None = None
    colour_factor: float = 1.0
    shrinkage: float = 0.0
    category_weight: float = 0.0
    categories: tuple[str, ...] = ()
    centroids: Floats | None = None
    studio: bool = False
    check: MetricCheck | None = None
    omitted: int = 0
    whole_view: bool = False

    @property
    def changes_objects(self) -> bool:
        """Whether the cosine of object parts is another one than that of the looks."""
        return self.transform is not None or self.omitted > 0

    @property
    def changes_scores(self) -> bool:
        """Whether scores are other ones than those of the index."""
        return self.changes_objects or self.colour_factor != 1.0

    def adapt_weights(self, weights: Weights) -> Weights:
        """Return the weights of an intent, with the colour weight that suits the collection."""
        if self.colour_factor == 1.0:
            return weights
        return weights.model_copy(update={"colour": min(weights.colour * self.colour_factor, 1.0)})

    def object_cosines(self, part: Floats, others: Floats) -> Floats:
        """Return float32 [n]: the similarity of an object part [d] to n others [n, d]."""
        cosines: Floats = (self.adapt(others) @ self.adapt(part[None])[0]).astype(np.float32)
        return cosines

    def adapt(self, parts: Floats) -> Floats:
        """Return object parts [n, d] as they are compared."""
        if not self.changes_objects:
            return parts
        used = parts[:, : parts.shape[1] - self.omitted]
        return normalise_rows(used if self.transform is None else used @ self.transform)

    def category_boosts(self, part: Floats) -> dict[str, float]:
        """Return the boost of each category for a query with this object part [d]: its likelihood times the weight.

        The likelihood is the softmax of the similarities to the centroids.
        """
        if self.centroids is None or self.category_weight == 0:
            return {}
        likelihoods = softmax(self.adapt(part[None]) @ self.centroids.T)[0]
        return {name: self.category_weight * float(p) for name, p in zip(self.categories, likelihoods, strict=True)}

    def summary(self) -> str:
        """Return in a few words for people how looks are compared."""
        kind = "default" if self.transform is None else f"own, shrinkage {self.shrinkage:g}"
        kind += ", without the fitted head" if self.omitted else ""
        views = "whole view alone" if self.whole_view else "all views"
        return f"{kind}, {views}, colour weight x {self.colour_factor:.2g}, category boost {self.category_weight:g}"

    def describe(self) -> str:
        """Return one line for people: what the collection has chosen, and by how much it is better."""
        if self.check is None:
            return "default: too few items with a category to choose by"
        check = self.check
        return (
            f"{self.summary()}: of the nearest neighbours of {check.points} pictures in {check.groups} categories "
            f"{check.own:.0%} are of the same category, {check.default:.0%} by default"
        )

    def note(self) -> dict[str, object]:
        """Return the metric as plain JSON values."""
        return {
            "transform": None if self.transform is None else pack_array(self.transform),
            "colour_factor": self.colour_factor,
            "shrinkage": self.shrinkage,
            "category_weight": self.category_weight,
            "studio": self.studio,
            "omitted": self.omitted,
            "whole_view": self.whole_view,
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
            "studio": bool() as studio,
            **rest,
        }:
            axes, means = (
                None if array is None else unpack_array(array).astype(np.float32)
                for array in (transform, centroids)
            )
            categories = tuple(map(str, names))
            check, omitted = _parse_check(rest.get("check")), rest.get("omitted")
            omitted = omitted if isinstance(omitted, int) else 0  # notes of earlier versions have none
            whole_view = rest.get("whole_view") is True
            return Metric(axes, factor, shrinkage, weight, categories, means, studio, check, omitted, whole_view)
    return DEFAULT_METRIC


def _parse_check(values: object) -> MetricCheck | None:
    match values:
        case {"points": int(points), "groups": int(groups), "default": default, "own": own, "margin": margin}:
            return MetricCheck(points, groups, float(default), float(own), float(margin))
    return None
