"""Filter syntax: parse filters, boosts and crops such as `category=Bags`, `price=10..50` and `0.1,0,0.5,1`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from pydantic import ValidationError

from infra.config.errors import BadInput
from producers.row_reader import parse_time
from schemas.envelope import describe
from schemas.filters import ColourName, Filters
from schemas.ranking import Boosts
from schemas.searches import Crop

LIST_FIELDS = {
    "category": "category",
    "brand": "brand",
    "creator": "creator",
    "source": "source",
    "colour": "colours",
    "color": "colours",
    "tag": "tags",
    "attribute": "attributes",
    "not-item": "exclude_items",
}
"""Names whose values are alternatives, and the field of Filters for each."""

BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def parse_filters(texts: Sequence[str]) -> Filters:
    """Parse filters of the form NAME=VALUE; raises BadInput, with the known names, for an invalid one.

    Values of one list name are alternatives. A range is LOW..HIGH, where either end may be omitted. Both ends of a
    price range are inclusive; the end of a time range is exclusive.
    """
    lists: dict[str, list[str]] = defaultdict(list)
    single: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise BadInput(f"--filter {text}: write NAME=VALUE, where NAME is {_names()}")
        if name in LIST_FIELDS:
            lists[LIST_FIELDS[name]].append(value.strip())
        else:
            _add(single, _parse_single(name, value.strip()), text)
    return _validate(single | {name: tuple(values) for name, values in lists.items()})


def parse_each(option: str, texts: Sequence[str]) -> tuple[Filters, ...]:
    """Parse each text of the form NAME=VALUE as a separate filter; raises BadInput, which names the option."""
    try:
        return tuple(parse_filters([text]) for text in texts)
    except BadInput as error:
        raise BadInput(str(error).replace("--filter", option, 1)) from None


def parse_boosts(texts: Sequence[str]) -> Boosts:
    """Parse boosts of the form NAME=VALUE, where NAME is a field of Boosts; raises BadInput."""
    values: dict[str, object] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in Boosts.model_fields or not value.strip():
            known = ", ".join(Boosts.model_fields)
            raise BadInput(f"--boost {text}: there is no boost `{name}`, write NAME=VALUE with one of {known}")
        values[name] = value.strip() if name == "currency" else _number(text, value)
    try:
        return Boosts.model_validate(values)
    except ValidationError as error:
        raise BadInput(f"--boost: {describe(error)}") from None


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"--boost {text}: {value} is no number") from None


def parse_crop(text: str) -> Crop:
    """Parse a crop of the form x,y,w,h in fractions of the picture; raises BadInput."""
    try:
        x, y, w, h = map(float, text.split(","))
    except ValueError:
        raise BadInput(f"--crop {text}: write x,y,w,h in fractions of the picture, as 0.1,0.2,0.5,0.5") from None
    try:
        return Crop(x=x, y=y, w=w, h=h)
    except ValidationError as error:
        raise BadInput(f"--crop {text}: {describe(error)}") from None


def _parse_single(name: str, value: str) -> dict[str, object]:
    parse = SINGLE_VALUE_PARSERS.get(name)
    if parse is None:
        raise BadInput(f"--filter {name}={value}: there is no `{name}`, there is {_names()}")
    try:
        return parse(value)
    except ValueError as error:
        raise BadInput(f"--filter {name}={value}: {error}") from None


def _add(target: dict[str, object], parsed: Mapping[str, object], text: str) -> None:
    if target.keys() & parsed.keys():
        raise BadInput(f"--filter {text}: it takes one value, and one was given before")
    target.update(parsed)


def _stock(value: str) -> dict[str, object]:
    if value.lower() not in BOOLEANS:
        raise ValueError("write true or false")
    return {"in_stock": BOOLEANS[value.lower()]}


def _price(value: str) -> dict[str, object]:
    low, high = _range(value, "10..50, 10.. or ..50")
    try:
        ends = {"price_min": float(low) if low else None, "price_max": float(high) if high else None}
    except ValueError:
        raise ValueError("the prices are not numbers, as 10..50") from None
    return {name: end for name, end in ends.items() if end is not None}


def _revision(value: str) -> dict[str, object]:
    low, high = _range(value, "5..9, 5.. or ..9")
    try:
        ends = {"revision_min": int(low) if low else None, "revision_max": int(high) if high else None}
    except ValueError:
        raise ValueError("the revisions are not whole numbers, as 5..9") from None
    return {name: end for name, end in ends.items() if end is not None}


def _created(value: str) -> dict[str, object]:
    after, before = _range(value, "2026-01-01..2026-02-01, 2026-01-01.. or ..2026-02-01")
    ends = {
        "created_after": parse_time(after) if after else None,
        "created_before": parse_time(before) if before else None,
    }
    return {name: end for name, end in ends.items() if end is not None}


def _currency(value: str) -> dict[str, object]:
    return {"currency": value}


def _range(value: str, example: str) -> tuple[str, str]:
    low, dots, high = value.partition("..")
    if not dots or not (low.strip() or high.strip()):
        raise ValueError(f"write a range, as {example}")
    return low.strip(), high.strip()


SINGLE_VALUE_PARSERS: dict[str, Callable[[str], dict[str, object]]] = {
    "in_stock": _stock,
    "price": _price,
    "currency": _currency,
    "created": _created,
    "revision": _revision,
}
"""Names with a single value, and the parser of each."""


def _validate(fields: Mapping[str, object]) -> Filters:
    try:
        return Filters.model_validate(fields)
    except ValidationError as error:
        raise BadInput(f"--filter: {_colour_error(error) or describe(error)}") from None


def _colour_error(error: ValidationError) -> str | None:
    """Message for an invalid colour, if that is the error; the violated pattern would not help the user."""
    invalid = [each["input"] for each in error.errors() if each["loc"][:1] == ("colours",)]
    if not invalid:
        return None
    names = ", ".join(get_args(ColourName))
    return f"colour={invalid[0]}: write #rrggbb, or #rrggbb~15 with a distance of 1 to 40, or one of {names}"


def _names() -> str:
    return ", ".join([*LIST_FIELDS, *SINGLE_VALUE_PARSERS])
