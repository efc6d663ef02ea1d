"""What merchants call colours, in our fourteen names: the published map behind the figures of colour agreement."""

from typing import get_args

from schemas.filters import ColourName

MERCHANT_COLOURS: dict[str, ColourName] = {
    "black": "black",
    "white": "white",
    "off white": "white",
    "grey": "grey",
    "grey melange": "grey",
    "charcoal": "grey",
    "red": "red",
    "maroon": "red",
    "burgundy": "red",
    "orange": "orange",
    "yellow": "yellow",
    "mustard": "yellow",
    "green": "green",
    "olive": "green",
    "lime green": "green",
    "sea green": "green",
    "fluorescent green": "green",
    "teal": "teal",
    "turquoise blue": "teal",
    "blue": "blue",
    "navy blue": "navy",
    "purple": "purple",
    "lavender": "purple",
    "mauve": "purple",
    "pink": "pink",
    "magenta": "pink",
    "rose": "pink",
    "brown": "brown",
    "coffee brown": "brown",
    "mushroom brown": "brown",
    "tan": "brown",
    "taupe": "brown",
    "rust": "brown",
    "beige": "beige",
    "cream": "beige",
    "khaki": "beige",
    "nude": "beige",
    "skin": "beige",
}
"""The words of the Fashion Product Images set, in lower case, by their dictionary meaning: no picture was used.

Nine of its words have no honest counterpart and are left out: a metal is a shine and no colour (gold, silver,
steel, bronze, copper, metallic), multi is several, peach lies between orange, pink and beige, na says nothing."""


def colour_named(word: str) -> ColourName | None:
    """Our name for a merchant's colour word, whatever its case; None where we have no honest counterpart.

    Our own fourteen names stand for themselves.
    """
    ours: dict[str, ColourName] = {name: name for name in get_args(ColourName)}
    return (MERCHANT_COLOURS | ours).get(" ".join(word.lower().split()))
