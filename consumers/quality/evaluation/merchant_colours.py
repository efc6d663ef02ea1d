"""Merchant colours: maps merchants' colour words to our fourteen names, for the measure of colour agreement."""

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
"""The colour words of the Fashion Product Images data set, in lower case, mapped by dictionary meaning only: no
picture was used.

Nine of its words have no fair counterpart and are omitted: metals are a shine, not a colour (gold, silver, steel,
bronze, copper, metallic), multi means several colours, peach lies between orange, pink and beige, and na gives no
colour."""


def map_colour_word(word: str) -> ColourName | None:
    """Our name for a merchant's colour word, ignoring case and extra spaces; None without a fair counterpart.

    Our own fourteen names map to themselves.
    """
    own_names: dict[str, ColourName] = {name: name for name in get_args(ColourName)}
    return (MERCHANT_COLOURS | own_names).get(" ".join(word.lower().split()))
