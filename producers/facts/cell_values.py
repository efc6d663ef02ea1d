"""Cell values: the texts in a cell of a feed, which may be text, a list, an object, or JSON written as text."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from producers.row_reader import Json

TEXT_KEYS = ("name", "value", "title", "label", "text", "@value", "#text", "$t", "_", "@id")
"""Keys that hold the text of an object, in order; the last ones are those of XML converters and JSON-LD."""
LONGEST_JSON = 1_000_000
"""Most characters of a cell that is parsed as JSON."""
MOST_TEXTS = 1_000
"""Most texts of one cell that are read; an item has at most 50 tags and 8 pictures."""


def text_of(value: Json) -> str:
    """A scalar as text without blanks around it; empty for null. Raises ValueError for other types."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    kind = (
        "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else "of an unknown type"
    )
    raise ValueError(f"it is {kind}, not text or a number")


def texts_of(value: Json, keys: tuple[str, ...] = TEXT_KEYS) -> list[str]:
    """The texts in a cell without empty ones: of a scalar, a list, an object (by `keys`), or JSON of them as text.

    Raises ValueError if there is anything else in it.
    """
    found: list[str] = []
    for text in _texts_in(value, keys, depth=0):
        if text:
            found.append(text)
            if len(found) == MOST_TEXTS:
                break
    return found


def first_text(cell: Json) -> tuple[str, str | None]:
    """The first text of a cell, and a sentence about the others if there are any."""
    if type(cell) is str and cell[:1] not in ("[", "{"):
        return cell.strip(), None
    texts = list(dict.fromkeys(texts_of(cell)))
    note = f"of {len(texts)} values the first is used" if len(texts) > 1 else None
    return (texts[0] if texts else ""), note


def parse_embedded(text: str) -> Json:
    """The list or object that a text contains as JSON, else the text itself."""
    if text[:1] in "[{" and text[-1:] in "]}" and len(text) <= LONGEST_JSON:
        try:
            found: Json = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError):
            return text
        return found if isinstance(found, list | dict) else text
    return text


def split_list(text: str) -> list[str]:
    """The parts of a list written as text: at commas, else at `|`, else at `;`, else at line ends."""
    for separator in (",", "|", ";", "\n"):
        if separator in text:
            return [part.strip() for part in text.split(separator) if part.strip()]
    return [text] if text else []


def quoted(value: Json, longest: int = 80) -> str:
    """A value for a message, shortened, with invalid Unicode replaced."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = type(value).__name__
    shortened = f"{text[:longest]}…" if len(text) > longest else text
    return f"`{shortened.encode(errors='replace').decode()}`"


def _texts_in(value: Json, keys: tuple[str, ...], depth: int) -> Iterator[str]:
    if isinstance(value, str):
        inner = parse_embedded(value.strip())
        if isinstance(inner, str):
            yield inner
        else:
            yield from _texts_in(inner, keys, depth + 1)
    elif isinstance(value, list | tuple) and depth < 4:
        for each in value:
            yield from _texts_in(each, keys, depth + 1)
    elif isinstance(value, Mapping) and depth < 4:
        found = next((value[key] for key in keys if value.get(key)), None)
        if found is None:
            raise ValueError(f"it is an object without {', '.join(keys[:4])}")
        yield from _texts_in(found, keys, depth + 1)
    else:
        yield text_of(value)
