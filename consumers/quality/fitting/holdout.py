"""Hold-out: splits off pictures of every label for model selection, and whole labels to test unseen ones."""

from dataclasses import dataclass

import numpy as np

from infra.array_types import Integers

FEWEST_TO_HOLD = 3
"""Pictures a label needs for one to be held out: two remain, which attract each other in training."""
FEWEST_LABELS = 10
"""Labels needed to hold out some of them whole."""
HELD_OUT_LABELS = 0.15
"""The share of the labels that is held out whole."""


@dataclass(frozen=True, eq=False)
class HoldoutSplit:
    """Row numbers of the pictures to train on, and of those held out."""

    train: Integers
    held_out: Integers


def hold_out(labels: Integers, share: float, seed: int) -> HoldoutSplit:
    """Hold out about `share` of the pictures of each label, at least one, but never its last two.

    They are consecutive in the given order: pictures that were taken one after the other are nearly the same, and a
    near-duplicate in the training set would be the hit for the held-out one, with or without a head.
    """
    rng, held_rows = np.random.default_rng(seed), []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        max_count = max(0, len(rows) - FEWEST_TO_HOLD + 1)
        count = min(max(1, round(share * len(rows))), max_count)
        first = rng.integers(len(rows) - count + 1)
        held_rows.append(rows[first : first + count])
    held_out = np.sort(np.concatenate(held_rows))
    return HoldoutSplit(np.setdiff1d(np.arange(len(labels)), held_out), held_out)


def hold_out_labels(labels: Integers, seed: int) -> HoldoutSplit | None:
    """Hold out all pictures of some labels that have at least two; None when too few labels have two."""
    unique, counts = np.unique(labels, return_counts=True)
    eligible = unique[counts > 1]
    if len(eligible) < FEWEST_LABELS:
        return None
    chosen = np.random.default_rng(seed).permutation(eligible)[: max(1, round(HELD_OUT_LABELS * len(eligible)))]
    held_out = np.isin(labels, chosen)
    return HoldoutSplit(np.flatnonzero(~held_out), np.flatnonzero(held_out))
