"""Pictures drawn in code, and one set of colour tables for all tests of this folder."""

from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from consumers.vision.colour import ColourExtractor, make_colour_extractor

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def colours() -> ColourExtractor:
    return make_colour_extractor()


@pytest.fixture(scope="session")
def encode() -> Encode:
    """A picture's bytes in a format, with PIL's own options."""

    def to_bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
        out = BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    return to_bytes
