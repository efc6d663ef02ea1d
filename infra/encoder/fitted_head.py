"""Fitted head: a linear map that was trained on labels, and which pictures it is used for.

object = [base * sqrt(1 - s), head * sqrt(s)]      s = share * membership of the picture

A head is better than the base for pictures of its domain and worse for all others. So each picture gets the head by
its membership in the domain, from 0 to 1. Two pictures without membership have the cosine of the base alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from infra.array_types import Floats, Mask
from infra.encoder.backbone import l2_normalise


@dataclass(frozen=True)
class Axes:
    """Linear map from [N, d] to unit rows [N, k]; `means` [2, d] are the means of photos and of studio pictures."""

    means: Floats
    axes: Floats

    def __call__(self, x: Floats, studio: Mask) -> Floats:
        centred: Floats = x - self.means[studio.astype(np.intp)]
        return l2_normalise(centred @ self.axes)


@dataclass(frozen=True)
class HeadDomain:
    """The pictures that a head is good for: those near its training pictures.

    `centroids` [c, k] are the unit means of the labels in the base. A picture whose greatest cosine to them is
    `similarity` or more is a full member, one with half of it none; in between membership rises evenly.
    """

    centroids: Floats
    similarity: float

    def membership(self, base: Floats) -> Floats:
        """Membership, 0 to 1, of pictures [N, k] as the base maps them: [N, 1]."""
        nearest = (base @ self.centroids.T).max(1, keepdims=True)
        found: Floats = np.clip(2 * nearest / self.similarity - 1, 0, 1).astype(np.float32)
        return found


@dataclass(frozen=True)
class FittedHead:
    """Head of a projection; `share` is its weight in the cosine of two members of its domain, 0 to 1.

    Without a `domain`, as earlier versions fitted heads, every picture is a member. `reliability`, 0 to 1, is what
    is left of the vote of many neighbours on a member: those that the head was trained on agree more than they are
    right.
    """

    linear_map: Axes
    share: float
    domain: HeadDomain | None = None
    reliability: float = 1.0

    def combine(self, base: Floats, object_features: Floats, studio: Mask) -> Floats:
        """Append the head's part to the base [N, k]: unit rows."""
        membership = np.ones_like(base[:, :1]) if self.domain is None else self.domain.membership(base)
        share = np.float32(self.share) * membership
        parts = base * np.sqrt(1 - share), self.linear_map(object_features, studio) * np.sqrt(share)
        return np.concatenate(parts, axis=1)


def parse_head(stored: Mapping[str, Floats]) -> FittedHead | None:
    """Return the head in the tensors of a projection; None without one. Raises KeyError if one is missing."""
    if "head.axes" not in stored:
        return None
    linear_map, share = Axes(stored["head.means"], stored["head.axes"]), stored["head.share"].item()
    if "head.centroids" not in stored:
        return FittedHead(linear_map, share)
    domain = HeadDomain(stored["head.centroids"], stored["head.similarity"].item())
    return FittedHead(linear_map, share, domain, stored["head.reliability"].item())
