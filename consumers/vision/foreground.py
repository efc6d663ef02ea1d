"""Foreground: weights the pixels of a picture by how likely they belong to its main object."""

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Floats, Mask

BACKGROUND_DISTANCE, FOREGROUND_DISTANCE = 6.0, 22.0
"""CIE76 distances to the border's colour: a pixel below the first is background, above the second foreground."""
MIN_UNIFORM_SHARE = 0.6
"""Minimum share of border pixels near the border's median for a plain background."""
ENCLOSED_WEIGHT = 0.35
"""Weight of background-coloured pixels that the foreground encloses, as inside a white shirt on white."""
BACKGROUND_WEIGHT = 0.01
"""Weight of other background pixels."""
CENTRE_SIGMA = 0.6
"""Standard deviation of the Gaussian weights of a picture without a plain background; half a side is 1."""

POSITION_WEIGHTS = np.array(
    [
        [0.56, 1.20, 0.38],
        [1.03, 2.20, 0.86],
        [1.79, 3.31, 1.74],
        [0.33, 3.46, 2.59],
        [0.35, 1.08, 1.61],
        [0.39, 0.28, 0.31],
    ]
)
"""Weights by position in the foreground's bounding box: rows top to bottom, columns edge to middle of each half.

Heads, feet and held objects weigh little. Fitted together with the colour names (colour_names.py)."""


def foreground(lab: Floats) -> Floats:
    """Weights [h, w] of the pixels of a Lab picture [h, w, 3]; they sum to 1.

    On a plain background: the pixels that differ from it or are enclosed, times their position weight. Otherwise: a
    Gaussian around the middle.
    """
    border = np.concatenate([lab[0], lab[-1], lab[1:-1, 0], lab[1:-1, -1]])
    background = np.median(border, axis=0)
    is_plain = np.mean(np.linalg.norm(border - background, axis=1) < BACKGROUND_DISTANCE * 2) >= MIN_UNIFORM_SHARE
    weights = (
        _contrast_weights(np.linalg.norm(lab - background, axis=2)) if is_plain else _centre_weights(*lab.shape[:2])
    )
    shares: Floats = (weights / weights.sum()).astype(np.float32)
    return shares


def _contrast_weights(distance: Floats) -> Floats:
    is_foreground = distance > BACKGROUND_DISTANCE
    contrast = np.clip((distance - BACKGROUND_DISTANCE) / (FOREGROUND_DISTANCE - BACKGROUND_DISTANCE), 0, 1)
    floor = np.where(is_enclosed(is_foreground), ENCLOSED_WEIGHT, BACKGROUND_WEIGHT)
    weights: Floats = _position_weights(is_foreground) * np.maximum(contrast, floor)
    return weights


def _centre_weights(height: int, width: int) -> Floats:
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    weights: Floats = np.exp(-(x**2 + y**2) / (2 * CENTRE_SIGMA**2))
    return weights


def _position_weights(mask: Mask) -> NDArray[np.float64]:
    """Weight of each pixel by its cell in the foreground's bounding box; outside the box, by the nearest cell."""
    rows, columns = POSITION_WEIGHTS.shape[0], 2 * POSITION_WEIGHTS.shape[1]
    y, x = _cell_indices(np.any(mask, axis=1), rows), _cell_indices(np.any(mask, axis=0), columns)
    weights: NDArray[np.float64] = POSITION_WEIGHTS[y[:, None], np.minimum(x, columns - 1 - x)[None, :]]
    return weights


def _cell_indices(occupied: Mask, cells: int) -> NDArray[np.intp]:
    """Cell index of each row or column; the range from the first to the last occupied one is split into `cells`."""
    (indices,) = np.nonzero(occupied)
    first, last = (indices[0], indices[-1]) if len(indices) else (0, len(occupied) - 1)
    cell: NDArray[np.intp] = np.clip((np.arange(len(occupied)) - first) * cells // (last - first + 1), 0, cells - 1)
    return cell


def is_enclosed(mask: Mask) -> Mask:
    """Mask of the pixels with foreground on all four sides: to the left, right, above and below."""
    between = [
        np.logical_or.accumulate(mask, axis=axis)
        & np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
        for axis in (0, 1)
    ]
    return between[0] & between[1]
