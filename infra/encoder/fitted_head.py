"""Fitted head: a linear map that was trained on labels, and which pictures it is used for.

object = [base * sqrt(1 - s), head * sqrt(s)]      s = share * membership of the picture

A head is better than the base for pictures of its domain and worse for all others. So each picture gets the head by
its membership in the domain, from 0 to 1. Two pictures without membership have the cosine of the base alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from infra.encoder.runtime import l2_normalise


@dataclass(frozen=True)
class Axes:
    """Linear map from [N, d] to unit rows [N, k]; `means` [2, d] are the means of photos and of studio pictures."""

    means: Tensor
    axes: Tensor

    def __call__(self, x: Tensor, studio: Tensor) -> Tensor:
        return l2_normalise((x - self.means[studio.long()]) @ self.axes)


@dataclass(frozen=True)
class HeadDomain:
    """The pictures that a head is good for: those near its training pictures.

    `centroids` [c, k] are the unit means of the labels in the base. A picture whose greatest cosine to them is
    `similarity` or more is a full member, one with half of it none; in between membership rises evenly.
    """

    centroids: Tensor
    similarity: float

    def membership(self, base: Tensor) -> Tensor:
        """Membership, 0 to 1, of pictures [N, k] as the base maps them: [N, 1]."""
        nearest = (base @ self.centroids.T).amax(1, keepdim=True)
        return (2 * nearest / self.similarity - 1).clamp(0, 1)


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

    def combine(self, base: Tensor, object_features: Tensor, studio: Tensor) -> Tensor:
        """Append the head's part to the base [N, k]: unit rows."""
        membership = torch.ones_like(base[:, :1]) if self.domain is None else self.domain.membership(base)
        share = self.share * membership
        return torch.cat([base * (1 - share).sqrt(), self.linear_map(object_features, studio) * share.sqrt()], 1)


def parse_head(stored: Mapping[str, Tensor]) -> FittedHead | None:
    """Return the head in the float tensors of a projection; None without one. Raises KeyError if one is missing."""
    if "head.axes" not in stored:
        return None
    linear_map, share = Axes(stored["head.means"], stored["head.axes"]), float(stored["head.share"])
    if "head.centroids" not in stored:
        return FittedHead(linear_map, share)
    domain = HeadDomain(stored["head.centroids"], float(stored["head.similarity"]))
    return FittedHead(linear_map, share, domain, float(stored["head.reliability"]))
