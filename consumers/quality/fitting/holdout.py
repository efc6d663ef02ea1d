"""Who is held back: pictures of every label, to choose by; whole labels, to see what a head costs them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

FEWEST_TO_HOLD = 3
"""Pictures of a label from which one can be held back and two are left that attract each other."""
FEWEST_LABELS = 10
"""Labels from which some can be held back whole."""
HELD_LABELS = 0.15


@dataclass(frozen=True, eq=False)
class HoldoutSplit:
    """Places of the pictures to train on and of those held back."""

    train: Integers
    held: Integers


def hold_back(labels: Integers, share: float, seed: int) -> HoldoutSplit:
    """About `share` of the pictures of each label, one at least, but never its last two.

    They are a run in the order given: pictures that were taken one after the other are nearly the same, and a twin
    left to train on would answer for the one held back, head or no head.
    """
    chance, held = np.random.default_rng(seed), []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        most = max(0, len(places) - FEWEST_TO_HOLD + 1)
        count = min(max(1, round(share * len(places))), most)
        first = chance.integers(len(places) - count + 1)
        held.append(places[first : first + count])
    taken = np.sort(np.concatenate(held))
    return HoldoutSplit(np.setdiff1d(np.arange(len(labels)), taken), taken)


def hold_back_labels(labels: Integers, seed: int) -> HoldoutSplit | None:
    """All pictures of some labels, of those that have two at least; None when there are too few labels to spare."""
    names, counts = np.unique(labels, return_counts=True)
    paired = names[counts > 1]
    if len(paired) < FEWEST_LABELS:
        return None
    chosen = np.random.default_rng(seed).permutation(paired)[: max(1, round(HELD_LABELS * len(paired)))]
    unseen = np.isin(labels, chosen)
    return HoldoutSplit(np.flatnonzero(~unseen), np.flatnonzero(unseen))
