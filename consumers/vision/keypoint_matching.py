"""Keypoint matching: how many keypoints of two pictures agree, in their look and in their place.

A keypoint matches the one with the nearest code, if that is clearly nearer than the second. Matches that one affine
map explains agree: it turns, moves, scales and shears a picture, as another view of the same flat side does.
"""

import cv2
import numpy as np

from consumers.vision.keypoints import Keypoints
from infra.array_types import Floats

MAX_DISTANCE_RATIO = 0.8
"""Most Hamming distance to the nearest code, as a share of that to the second nearest."""
MIN_MATCHES = 6
"""Fewest matches for an affine map: three define one, so fewer than six say nothing."""
TOLERANCE_PIXELS = 6.0
"""Largest deviation from the map of a match that agrees, in pixels of the grey picture of the second."""
MAX_ITERATIONS, CERTAINTY = 500, 0.99
"""Of RANSAC."""
AREA_SCALES = (0.05, 20.0)
"""Range of the change of area; other maps squeeze everything into a point."""

NO_AGREEMENT: Floats = np.empty((0, 4), np.float32)


def agreement(query: Keypoints, other: Keypoints) -> Floats:
    """Return the matches that agree, float32 [n, 4]: x, y in the query and x, y in the other, as shares of sides.

    Source: M. Fischler and R. Bolles, Random sample consensus, CACM 1981; the ratio test is Lowe's (2004).
    """
    if len(query) < MIN_MATCHES or len(other) < MIN_MATCHES:
        return NO_AGREEMENT
    distances, nearest = cv2.batchDistance(query.codes, other.codes, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=2)
    is_clear = distances[:, 0] < MAX_DISTANCE_RATIO * distances[:, 1]
    if np.count_nonzero(is_clear) < MIN_MATCHES:
        return NO_AGREEMENT
    partners = nearest[is_clear, 0]
    affine, inliers = cv2.estimateAffine2D(
        query.pixels[is_clear],
        other.pixels[partners],
        method=cv2.RANSAC,
        ransacReprojThreshold=TOLERANCE_PIXELS,
        maxIters=MAX_ITERATIONS,
        confidence=CERTAINTY,
    )
    if affine is None or not AREA_SCALES[0] < abs(np.linalg.det(affine[:, :2])) < AREA_SCALES[1]:
        return NO_AGREEMENT
    agrees = inliers[:, 0] == 1
    matches: Floats = np.concatenate([query.positions[is_clear][agrees], other.positions[partners][agrees]], axis=1)
    return matches
