"""Grey correction: estimates from the features of a grey picture those that it would have in colour.

    corrected = features + shift + (features @ inputs) @ outputs

The networks were trained on colours: without them they confuse a lemon with a pear. What they miss depends on
the thing, and a linear map of few dimensions predicts much of it. It is fitted, without labels, on pictures and
their own grey copies, by ridge regression of the difference of their features (Hoerl and Kennard, 1970), reduced to
a low rank (Izenman, Reduced-rank regression for the multivariate linear model, 1975).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from infra.array_types import Floats, Mask, Pixels

RANK = 32
"""Dimensions of the correction: 16 to 256 were equally good on photos of groceries and of clothes."""
RIDGE = 1e-3
"""Weight of the ridge penalty, as a share of the squared sum of the features that predict the correction. Between a
third and three times of it nothing changed by more than chance."""
MAX_SPREAD = 2
"""Largest difference between the red, green and blue of a grey pixel, 0 to 255. No photo of 302 of groceries and of
313 of clothes is grey by it, and 41 of 1,500 small studio pictures of clothes, which have no colours."""
MIN_GREY_PIXELS = 0.99
"""Share of the pixels of a grey picture that are grey."""
PIXEL_STEP = 4
"""Every fourth row and column is examined."""


@dataclass(frozen=True)
class GreyCorrection:
    """Linear map of features [N, d] of grey pictures: `shift` [d], `inputs` [d, r] and `outputs` [r, d]."""

    shift: Floats
    inputs: Floats
    outputs: Floats

    def __call__(self, features: Floats, grey: Mask) -> Floats:
        """Correct the rows [N, d] that the mask `grey` [N] selects."""
        corrected = features.copy()
        corrected[grey] += self.shift + (features[grey] @ self.inputs) @ self.outputs
        return corrected

    @property
    def tensors(self) -> dict[str, Floats]:
        """The tensors by the names of a projection's file."""
        parts = {"shift": self.shift, "inputs.axes": self.inputs, "outputs.axes": self.outputs}
        return {f"grey.{name}": part for name, part in parts.items()}


def parse_grey_correction(stored: Mapping[str, Floats]) -> GreyCorrection | None:
    """Return the correction in the tensors of a projection; None without one. Raises KeyError for a part."""
    if "grey.shift" not in stored:
        return None
    return GreyCorrection(stored["grey.shift"], stored["grey.inputs.axes"], stored["grey.outputs.axes"])


def grey_tensors(tensors: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return those tensors of a projection that are of its grey correction; none without one."""
    return {name: value for name, value in tensors.items() if name.startswith("grey.")}


def is_grey(view: Pixels) -> bool:
    """Whether a view, uint8 [h, w, 3], is of a picture without colours."""
    pixels = view[::PIXEL_STEP, ::PIXEL_STEP]
    return bool(np.mean(np.ptp(pixels, axis=2) <= MAX_SPREAD) >= MIN_GREY_PIXELS)


def fit_grey_correction(colour: Floats, grey: Floats, axes: Floats) -> dict[str, Floats]:
    """Fit the tensors of a correction on object features [N, d]: `colour` of pictures, `grey` of their grey copies.

    `axes` [d, k] are those of the base; the correction is predicted from the copies as these map them.
    """
    centre, difference = grey.mean(0), (colour - grey).astype(np.float64)
    rows, shift = ((grey - centre) @ axes).astype(np.float64), difference.mean(0)
    penalty = RIDGE * np.square(rows).sum() * np.eye(rows.shape[1])
    weights = np.linalg.solve(rows.T @ rows + penalty, rows.T @ (difference - shift))
    directions = np.linalg.svd(rows @ weights, full_matrices=False)[2][:RANK]
    inputs = axes @ (weights @ directions.T)
    values = {"shift": shift - centre @ inputs @ directions, "inputs.axes": inputs, "outputs.axes": directions}
    return {f"grey.{name}": value.astype(np.float32) for name, value in values.items()}
