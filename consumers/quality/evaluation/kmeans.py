"""K-means baseline: names the largest k-means cluster of all pixels, which the colour extractor must beat."""

import numpy as np
from PIL.Image import Image, Resampling

from consumers.vision.colour import ColourExtractor
from schemas.filters import ColourName

SIDE, CLUSTERS, ROUNDS = 32, 5, 10


def dominant_by_kmeans(image: Image, colours: ColourExtractor) -> ColourName:
    """The name of the centre of the largest of 5 clusters of an RGB picture's pixels; the seed is fixed."""
    pixels = np.asarray(image.resize((SIDE, SIDE), Resampling.BOX), np.float64).reshape(-1, 3)
    centres = pixels[np.random.default_rng(0).choice(len(pixels), CLUSTERS, replace=False)]
    for _ in range(ROUNDS):
        nearest = ((pixels[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [pixels[nearest == n].mean(0) if (nearest == n).any() else centres[n] for n in range(CLUSTERS)]
        )
    largest = centres[np.bincount(nearest, minlength=CLUSTERS).argmax()]
    red, green, blue = (round(channel) for channel in largest)
    return colours.colour_name(red, green, blue)
