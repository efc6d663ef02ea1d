"""Contracts of models: the encoder turns pictures into vectors, and the detector finds the things in them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from PIL.Image import Image

from infra.array_types import Box, Floats, Pixels


class EncoderInput(NamedTuple):
    """Input of the encoder for one picture: its prepared views, and whether it is a studio picture."""

    views: tuple[Pixels, ...]
    studio: bool


class Encoder(Protocol):
    """Model that turns pictures into vectors; its contract is tests/contracts/test_encoder_contract.py."""

    @property
    def fingerprint(self) -> str:
        """Model and hash of all that affects its vectors; vectors of different fingerprints are not comparable."""

    @property
    def object_size(self) -> int:
        """Dimensions of the object part, which is first in a vector."""

    @property
    def style_size(self) -> int:
        """Dimensions of the style part, which follows the object part."""

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        """Function from a box of an upright RGB picture to pixels, all of one shape; thread-safe."""

    @property
    def prepare_region(self) -> Callable[[Image, Box], Pixels]:
        """The same for a thing in a picture; the pixels may be fewer, so that many things cost less."""

    def run(self, batch: Sequence[EncoderInput], /) -> Floats:
        """Encode N pictures of one or more views: float32 [N, object_size + style_size], parts of unit length."""


class Detector(Protocol):
    """Model that finds the things in pictures; its contract is tests/contracts/test_detector_contract.py."""

    @property
    def name(self) -> str:
        """Short name, for logs."""

    def detect(self, images: Sequence[Image], /) -> Sequence[Sequence[tuple[Box, float]]]:
        """Return the boxes of the things of each upright RGB picture, in its pixels, and their objectness, 0 to 1.

        The most certain thing is first. The objectness says how surely a box is that of a whole thing.
        """
