"""Look parts: the object, style and colour parts of looks, and how weights and metrics compare them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from consumers.scoring.metric import Metric
from consumers.vision.colour import COLOUR_SIZE
from consumers.vision.contracts import Encoder
from consumers.vision.look_vector import UNIT_TOLERANCE, weight_look
from infra.array_types import Floats
from schemas.ranking import Weights


@runtime_checkable
class HeadEncoder(Protocol):
    """Encoder whose object part ends with a head that was fitted on labels; infra.encoder.projection has one."""

    @property
    def head_size(self) -> int:
        """Dimensions of the head; 0 without one."""

    @property
    def head_share(self) -> float:
        """Weight of the head in the cosine of two pictures of its domain, 0 to 1."""

    @property
    def head_reliability(self) -> float:
        """What is left of the neighbours' vote on a picture of the head's domain, 0 to 1."""


@dataclass(frozen=True)
class HeadPart:
    """The fitted head in the object parts of looks; see HeadEncoder."""

    size: int
    share: float
    reliability: float


NO_HEAD = HeadPart(0, 0.0, 1.0)


@dataclass(frozen=True)
class LookParts:
    """Sizes of the object and style parts of a look; the rest is the colour part."""

    object_size: int
    style_size: int
    head: HeadPart = NO_HEAD

    @property
    def size(self) -> int:
        """Dimensions of a look."""
        return self.object_size + self.style_size + COLOUR_SIZE

    def vote_reliability(self, look: Floats) -> float:
        """Return what is left of the neighbours' vote on this look, 0 to 1: less, the more of it is from the head.

        Neighbours that the head was trained on agree more than they are right.
        """
        if self.head.share == 0:
            return 1.0
        part = look[self.object_size - self.head.size : self.object_size]
        membership = min(1.0, float(part @ part) / self.head.share)
        return 1 - membership * (1 - self.head.reliability)

    def apply_weights(self, look: Floats, weights: Weights) -> Floats:
        """Return the look as a query vector: each part multiplied by its share of the weights."""
        return weight_look(look, weights, self.object_size, self.style_size)

    def object(self, looks: Floats) -> Floats:
        """Return the object parts of looks [..., size]."""
        return looks[..., : self.object_size]

    def with_object(self, look: Floats, part: Floats) -> Floats:
        """Return the look with another object part."""
        return np.concatenate([part, look[self.object_size :]]).astype(np.float32)

    def colour(self, looks: Floats) -> Floats:
        """Return the colour parts of looks [..., size]."""
        return looks[..., self.object_size + self.style_size :]

    def normalise(self, look: Floats) -> Floats:
        """Return the look with each part scaled to unit length; parts that are all zeros stay unchanged."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        return np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts]).astype(np.float32)

    def has_unit_parts(self, look: Floats) -> bool:
        """Return whether each part of a look has unit length or is all zeros; so it holds no NaN or infinity."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        lengths = np.array([np.linalg.norm(part.astype(np.float64)) for part in parts])
        return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))

    def adapted_scores(self, look: Floats, others: Floats, weights: Weights, metric: Metric) -> Floats:
        """Return float32 [n]: the scores of n others, [n, size], with the object part under a metric."""
        cosines = self.cosines(look, others)
        cosines[:, 0] = metric.object_cosines(self.object(look), self.object(others))
        shares = np.array([weights.object, weights.style, weights.colour], np.float32)
        scores: Floats = cosines @ (shares / shares.sum())
        return scores

    def cosines(self, look: Floats, others: Floats) -> Floats:
        """Return float32 [n, 3]: the cosine of each part of a look with the same part of n others, [n, size]."""
        ends = [self.object_size, self.object_size + self.style_size]
        look_parts, other_parts = np.split(look, ends), np.split(others, ends, axis=1)
        return np.stack([rows @ part for part, rows in zip(look_parts, other_parts, strict=True)], axis=1)


def parts_of(encoder: Encoder) -> LookParts:
    """Return the parts of the looks that an encoder makes."""
    if not isinstance(encoder, HeadEncoder):
        return LookParts(encoder.object_size, encoder.style_size)
    head = HeadPart(encoder.head_size, encoder.head_share, encoder.head_reliability)
    return LookParts(encoder.object_size, encoder.style_size, head)
