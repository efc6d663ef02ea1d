"""Pictures drawn in code, in every format."""

from collections.abc import Callable

import pytest
from PIL import Image

from tests.infra.images.drawn import encoded

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """A picture's bytes in a format, with PIL's own options."""

    def to_bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
        return encoded(image, kind, **options)

    return to_bytes
