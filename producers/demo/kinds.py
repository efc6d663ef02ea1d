"""Product kinds: what the demo catalogue contains, and in which colours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from producers.demo import clothes, household
from producers.demo.drawing import Colour, Pen
from schemas.filters import ColourName

Place = Literal["laid", "table", "room"]
"""Where a product is photographed: laid flat and from above, on a table, or standing in a room."""


@dataclass(frozen=True)
class ProductKind:
    """A kind of product: its name, drawing function, place of casual photos, and price range in euros."""

    name: str
    draw: Callable[[Pen], None]
    place: Place
    prices: tuple[int, int]


KINDS: tuple[ProductKind, ...] = (
    ProductKind("t-shirt", clothes.t_shirt, "laid", (12, 35)),
    ProductKind("dress", clothes.dress, "laid", (35, 120)),
    ProductKind("trousers", clothes.trousers, "laid", (30, 90)),
    ProductKind("sneaker", clothes.sneaker, "room", (45, 140)),
    ProductKind("boot", clothes.boot, "room", (60, 190)),
    ProductKind("cap", clothes.cap, "table", (12, 30)),
    ProductKind("sunglasses", clothes.sunglasses, "laid", (20, 130)),
    ProductKind("watch", clothes.watch, "laid", (50, 250)),
    ProductKind("glove", clothes.glove, "laid", (10, 40)),
    ProductKind("handbag", household.handbag, "table", (40, 220)),
    ProductKind("backpack", household.backpack, "room", (35, 120)),
    ProductKind("mug", household.mug, "table", (8, 22)),
    ProductKind("teapot", household.teapot, "table", (25, 70)),
    ProductKind("chair", household.chair, "room", (60, 240)),
    ProductKind("lamp", household.lamp, "table", (30, 150)),
    ProductKind("sofa", household.sofa, "room", (300, 990)),
    ProductKind("bottle", household.bottle, "table", (12, 38)),
    ProductKind("umbrella", household.umbrella, "room", (15, 45)),
)

COLOURS: Mapping[ColourName, Colour] = {
    "red": (206, 36, 42),
    "orange": (240, 128, 30),
    "yellow": (246, 206, 44),
    "green": (52, 142, 62),
    "teal": (16, 136, 138),
    "blue": (46, 104, 214),
    "navy": (28, 38, 92),
    "purple": (122, 58, 160),
    "pink": (244, 132, 176),
    "brown": (120, 74, 42),
    "black": (38, 37, 40),
    "grey": (132, 134, 138),
}
"""A typical sRGB value of each colour, 0 to 255."""
