"""How much each pixel of a picture belongs to what it is a picture of."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Truths = NDArray[np.bool_]

BACKGROUND_DISTANCE, FOREGROUND_DISTANCE = 6.0, 22.0
"""CIE76 distances to the border's colour: below the first it is background, above the second foreground."""
UNIFORM = 0.6
"""Share of border pixels near the border's median from which the border counts as a plain ground."""
ENCLOSED = 0.35
"""Weight of ground-coloured pixels that the foreground encloses: the inside of a white shirt on white."""
ELSEWHERE = 0.01
SPREAD = 0.6
"""Standard deviation of the weights of a photo without a plain ground, where half a side is 1."""

PLACES = np.array(
    [
        [0.56, 1.20, 0.38],
        [1.03, 2.20, 0.86],
        [1.79, 3.31, 1.74],
        [0.33, 3.46, 2.59],
        [0.35, 1.08, 1.61],
        [0.39, 0.28, 0.31],
    ]
)
"""Weight of a place in the box round the foreground: top to bottom, and edge to middle of either half.

Heads and feet, and what a person holds, count little. Fitted together with the names (names.py)."""


def foreground(lab: Floats) -> Floats:
    """How much each pixel of a Lab picture [h, w, 3] counts: weights [h, w], which sum to 1.

    On a plain ground: what differs from the ground or is enclosed, times its place in the foreground's box.
    Elsewhere: the nearer to the middle, the more.
    """
    border = np.concatenate([lab[0], lab[-1], lab[1:-1, 0], lab[1:-1, -1]])
    ground = np.median(border, axis=0)
    plain = np.mean(np.linalg.norm(border - ground, axis=1) < BACKGROUND_DISTANCE * 2) >= UNIFORM
    weights = _standing_out(np.linalg.norm(lab - ground, axis=2)) if plain else _centred(*lab.shape[:2])
    shares: Floats = (weights / weights.sum()).astype(np.float32)
    return shares


def _standing_out(distance: Floats) -> Floats:
    stands_out = distance > BACKGROUND_DISTANCE
    front = np.clip((distance - BACKGROUND_DISTANCE) / (FOREGROUND_DISTANCE - BACKGROUND_DISTANCE), 0, 1)
    floor = np.where(_enclosed(stands_out), ENCLOSED, ELSEWHERE)
    weights: Floats = _places(stands_out) * np.maximum(front, floor)
    return weights


def _centred(height: int, width: int) -> Floats:
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    weights: Floats = np.exp(-(x**2 + y**2) / (2 * SPREAD**2))
    return weights


def _places(front: Truths) -> NDArray[np.float64]:
    """The weight of each pixel's place in the box round the foreground; outside it, that of the nearest place."""
    high, wide = PLACES.shape[0], 2 * PLACES.shape[1]
    y, x = _along(np.any(front, axis=1), high), _along(np.any(front, axis=0), wide)
    weights: NDArray[np.float64] = PLACES[y[:, None], np.minimum(x, wide - 1 - x)[None, :]]
    return weights


def _along(there: Truths, parts: int) -> NDArray[np.intp]:
    """Which of `parts` equal parts of the stretch from the first to the last that is there each one lies in."""
    (found,) = np.nonzero(there)
    first, last = (found[0], found[-1]) if len(found) else (0, len(there) - 1)
    which: NDArray[np.intp] = np.clip((np.arange(len(there)) - first) * parts // (last - first + 1), 0, parts - 1)
    return which


def _enclosed(front: Truths) -> Truths:
    """Pixels with foreground on all four sides: to the left, right, above and below."""
    either = [
        np.logical_or.accumulate(front, axis=axis)
        & np.flip(np.logical_or.accumulate(np.flip(front, axis), axis), axis)
        for axis in (0, 1)
    ]
    return either[0] & either[1]
