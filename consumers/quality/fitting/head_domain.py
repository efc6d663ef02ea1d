"""Head domain: which pictures a head is good for, and how far the votes of its training pictures can be trusted."""

import numpy as np

from consumers.quality.fitting.head_weight import HeadWeightTrial, mix
from consumers.quality.fitting.holdout import HoldoutSplit
from consumers.quality.fitting.validation import ValidationSet
from consumers.quality.fitting.whitening_base import Tensors
from consumers.scoring.category_vote import VOTE_TEMPERATURE, VOTE_WEIGHTS, VOTER_COUNT
from infra.array_types import Floats, Integers

MEMBER_QUANTILE = 0.05
"""Quantile of the similarities of held-out pictures; a picture that is as similar is a full member of the domain.
With half of this similarity it is no member. Mean memberships in the domain of a head for groceries: 296 grocery
photos .98, the same blurred (sigma 3) .85, 81 studio pictures .83, 341 photos of clothes and 1,600 fashion pictures
.00."""
MIN_SIMILARITY = 0.1
"""Least similarity of full members: below, whitened features of unrelated pictures are as similar by chance."""
MAX_CENTROIDS = 1_000
"""Most labels with a centroid, those with most pictures: each takes 1 kB of the encoder's file."""


def measure_domain(base: Floats, labels: Integers, split: HoldoutSplit) -> Tensors:
    """Return the tensors of the domain of a head for pictures with these labels; `base` are unit rows [N, k].

    Members are as similar to the labels' centroids as pictures that were held out from them.
    """
    held_out, train = base[split.held_out], split.train
    nearest = (held_out @ _centroids(base[train], labels[train]).T).max(axis=1)
    similarity = max(float(np.quantile(nearest, MEMBER_QUANTILE)), MIN_SIMILARITY)
    return {"centroids": _centroids(base, labels), "similarity": np.array([similarity], np.float32)}


def _centroids(base: Floats, labels: Integers) -> Floats:
    """Return the unit means [c, k] of the rows of each label."""
    unique, counts = np.unique(labels, return_counts=True)
    largest = unique[np.argsort(-counts, kind="stable")[:MAX_CENTROIDS]]
    means = np.stack([base[labels == label].mean(axis=0) for label in largest])
    unit: Floats = (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return unit


def measure_reliability(trial: HeadWeightTrial, share: float) -> float:
    """Return how much more the neighbours' vote claims with the head than with the base, as a factor, 0 to 1.

    Both votes are on held-out pictures among training pictures. The head pulls the training pictures of a label
    together, so that all neighbours agree, also where they are wrong. Held-out pictures may be near-duplicates of
    training pictures, which flatters both votes alike.

    Half of the difference to 1 is taken: the categories of a collection may be the labels or coarser ones, and a
    vote on coarser ones is as reliable with the head as without. ECE of 296 grocery photos by 81 products: .09
    without the factor, .03 with all of it; by 42 kinds .04 and .07.
    """
    base = _vote_ratio(trial.base, trial.validation_set)
    ratio = _vote_ratio(mix(trial.base, trial.head, share), trial.validation_set) / max(base, 1e-9)
    return (1 + min(1.0, ratio)) / 2


def _vote_ratio(rows: Floats, validation_set: ValidationSet) -> float:
    """Return the share of first hits that are right, divided by the mean share of the vote that they have."""
    hits, similarities = validation_set.rank(rows, VOTER_COUNT)
    weight = VOTE_WEIGHTS.object / (VOTE_WEIGHTS.object + VOTE_WEIGHTS.style + VOTE_WEIGHTS.colour)
    votes = np.exp((similarities - similarities[:, :1]) * weight / VOTE_TEMPERATURE)
    labels = validation_set.labels[hits]
    shares = (votes * (labels == labels[:, :1])).sum(axis=1) / votes.sum(axis=1)
    right = labels[:, 0] == validation_set.labels[validation_set.queries]
    return float(right.mean() / shares.mean())
