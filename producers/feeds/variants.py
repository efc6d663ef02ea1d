"""Variants: combine the values of a product that exports write in several rows or lists."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from producers.feeds.dialects import MAX_NUMBER
from producers.row_reader import Json

OPTION_COLUMNS = {
    "color": "color", "colour": "color", "farbe": "color", "couleur": "color", "size": "size", "größe": "size",
    "taille": "size", "material": "material", "pattern": "pattern",
}  # fmt: skip
"""Google's columns for the options of variants, by the option's name in lower case."""
NUMBER = re.compile(r"\d[\d.,]*", re.ASCII)
LINK_SEPARATOR = re.compile(r",\s*(?=(?:https?:)?//)|\||\n")
UNESCAPED_COMMA = re.compile(r"(?<!\\),")
TRUE_WORDS = {"1", "true", "yes", "instock", "in stock", "in_stock"}


def text_of(cells: Mapping[str, Json], *names: str) -> str:
    """The first of these cells that has a text."""
    for name in names:
        value = cells.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and (text := value.strip()):
            return text
    return ""


def split_links(text: str) -> list[str]:
    """The links of a cell; a comma separates them only before another address."""
    return [link for link in (part.strip() for part in LINK_SEPARATOR.split(text)) if link]


def split_commas(text: str) -> list[str]:
    """The parts of a list with commas; a comma after a backslash belongs to its part."""
    parts = (part.replace("\\,", ",").strip() for part in UNESCAPED_COMMA.split(text))
    return [part for part in parts if part]


def deepest_path(paths: Iterable[str]) -> str:
    """The category with the most parts, in Google's notation; of several, the first."""
    return max(paths, key=lambda path: path.count(">"), default="")


def lowest_price(prices: Sequence[str]) -> str:
    """The lowest price, as written, which online stores display as "from"."""
    if len(prices) == 1:
        return prices[0]
    numbers = [(amount, text) for text in prices if (amount := _amount(text)) is not None]
    return min(numbers, key=lambda each: each[0])[1] if numbers else next(iter(prices), "")


def _amount(text: str) -> Decimal | None:
    found = NUMBER.search(text)
    if found is None:
        return None
    digits = found[0].rstrip(".,")
    last = max(digits.rfind("."), digits.rfind(","))
    is_fraction = last >= 0 and (
        len(digits) - last <= 3 or (digits.count(digits[last]) == 1 and "." in digits[last:])
    )
    whole, fraction = (digits[:last], digits[last + 1 :]) if is_fraction else (digits, "")
    try:
        return Decimal(re.sub("[.,]", "", whole) + "." + (fraction or "0"))
    except InvalidOperation:
        return None


def is_true(text: str) -> bool:
    """Whether a cell says yes."""
    return text.lower() in TRUE_WORDS


def option_cells(options: Iterable[tuple[str, str]]) -> dict[str, Json]:
    """Cells for the options that have one of Google's columns, from their names and values; each value once."""
    found: dict[str, list[str]] = {}
    for name, value in options:
        column = OPTION_COLUMNS.get(name.strip().lower())
        if column is not None:
            values = found.setdefault(column, [])
            values.extend(part for part in [value.strip()] if part and part not in values)
    return {column: ", ".join(values) for column, values in found.items() if values}


def number_of(text: str) -> float:
    """A quantity; 0 if it is none."""
    found = NUMBER.fullmatch(text)
    return float(found[0].replace(",", ".")) if found and found[0].count(".") + found[0].count(",") < 2 else 0.0


def numbered(cells: Mapping[str, Json], name: str, value: str, most: int = MAX_NUMBER) -> Iterator[tuple[str, str]]:
    """Pairs of cells with numbers in their names, as `option{}_name` and `option{}_value`, from 1."""
    for number in range(1, most + 1):
        if name.format(number) not in cells:
            return
        yield text_of(cells, name.format(number)), text_of(cells, value.format(number))
