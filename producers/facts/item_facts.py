"""Item facts: read the facts of an item from the cells of a row; a fact that cannot be read is left out and named.

A fact never costs the item: only its id and its main picture are essential (producers/catalog.py).
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

from producers.column_mapping import ATTRIBUTE
from producers.facts.availability import read_availability, read_boolean
from producers.facts.cell_values import MOST_TEXTS, first_text, parse_embedded, quoted, split_list, texts_of
from producers.facts.moments import read_moment
from producers.facts.picture_links import LONGEST_LINK, PLAIN_URL, absolute_url, clean_link
from producers.facts.price_columns import PRICE_FIELDS, PriceReader
from producers.row_reader import Json
from schemas.failures import Rejected
from schemas.moderation import MAX_LABELS
from schemas.moments import EPOCH

Facts = dict[str, object]
Cells = Mapping[str, Json]
CellReader = Callable[[Facts, Json], str | None]
"""Reads a cell into the facts; returns the omitted parts, raises ValueError if the whole cell is omitted."""
FactSteps = list[tuple[str, CellReader]]
"""Columns, and the readers of their cells."""

SOURCES: Mapping[str, tuple[str, ...]] = {
    "title": ("title",),
    "brand": ("brand",),
    "category": ("category",),
    "in_stock": ("in_stock",),
    "tags": ("tags",),
    "created_at": ("created_at",),
    "url": ("url",),
    "moderation": ("moderation", "adult"),
    "price": PRICE_FIELDS,
    "currency": PRICE_FIELDS,
    "attributes": ("category", "in_stock"),
}
"""The fields of a feed that decide each fact; the attributes depend on the fields `attributes.NAME` too."""
EMPTY: Mapping[str, object] = {"tags": (), "moderation": (), "attributes": {}}
"""Values of facts that a row does not have; of the others it is None."""
UNSAFE_LABEL = "adult"
"""Label of items whose `adult` or `moderation` cell cannot be read: it is safer to hide one item too many."""
LONGEST_CACHED = 500
"""Characters of a text whose result is cached, so that the cache stays small."""
MAX_COLUMN_SETS = 200
"""Sets of columns whose steps are cached."""
LABEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
PATH_SEPARATOR = re.compile(r"[>»\u203a→]|\s\|\s")
"""Separators of category paths: Google's `>` and what shops write for it, and Heureka's ` | `."""


class FactReader:
    """Reads the facts of the rows of one feed, with the columns of its fields looked up once."""

    def __init__(self, columns: Mapping[str, str], currency: str | None) -> None:
        self._columns = columns
        readers: dict[str, CellReader] = {
            "title": _text_reader("title"),
            "brand": _text_reader("brand"),
            **{name: _attribute_reader(name) for name in columns if name.startswith(ATTRIBUTE)},
            "category": _read_category,
            "in_stock": _read_stock,
            "tags": _read_tags,
            "created_at": _read_created_at,
            "url": _read_url,
            "moderation": _read_moderation,
            "adult": _read_adult,
        }
        self._steps = [(columns[name], read) for name, read in readers.items() if name in columns]
        self._steps_by_columns: dict[tuple[str, ...], FactSteps] = {}
        self._price = PriceReader(columns, currency) if "price" in columns or "sale_price" in columns else None

    def read(self, cells: Cells) -> tuple[Facts, list[str]]:
        """The facts of a row, and one sentence for each that was left out or cut."""
        facts: Facts = {}
        left_out: list[str] = []
        for column, read in self._steps if len(self._steps) <= len(cells) else self._steps_of(tuple(cells)):
            cell = cells.get(column)
            if cell is None or cell == "":
                continue
            try:
                note = read(facts, cell)
            except ValueError as error:
                note = f"{quoted(cell)} is left out: {error}"
            if note is not None:
                left_out.append(f"{column}: {note}")
        if self._price is not None:
            price = self._price.read(cells, left_out)
            if price is not None:
                facts["price"], facts["currency"] = price
        return facts, left_out

    def _steps_of(self, columns: tuple[str, ...]) -> FactSteps:
        """The steps for a row with few of a feed's columns; most rows of JSON and XML have the same ones."""
        found = self._steps_by_columns.get(columns)
        if found is None:
            if len(self._steps_by_columns) >= MAX_COLUMN_SETS:
                self._steps_by_columns.clear()
            found = self._steps_by_columns[columns] = [step for step in self._steps if step[0] in columns]
        return found

    def complete(self, facts: Facts, unavailable: Collection[str]) -> Facts:
        """The facts that depend on none of the unavailable columns; those that the row does not have are empty."""
        found: Facts = {}
        for fact, fields in SOURCES.items():
            columns = {self._columns[name] for name in fields if name in self._columns}
            if fact == "attributes":
                columns |= {column for name, column in self._columns.items() if name.startswith(ATTRIBUTE)}
            if columns and not columns.intersection(unavailable):
                found[fact] = facts.get(fact, EMPTY.get(fact))
        return found


def _text_reader(fact: str) -> CellReader:
    def read(facts: Facts, cell: Json) -> str | None:
        text, note = first_text(cell)
        if text:
            facts[fact] = text
        return note

    return read


def _attribute_reader(field: str) -> CellReader:
    name = field.removeprefix(ATTRIBUTE)

    def read(facts: Facts, cell: Json) -> str | None:
        text, note = first_text(cell)
        if text:
            _set_attribute(facts, name, text)
        return note

    return read


def _set_attribute(facts: Facts, name: str, text: str) -> None:
    attributes = facts.setdefault("attributes", {})
    assert isinstance(attributes, dict)
    attributes[name] = text


def _read_category(facts: Facts, cell: Json) -> str | None:
    text, note = first_text(cell)
    category, path = _category_path(text) if len(text) <= LONGEST_CACHED else _category_path.__wrapped__(text)
    if category:
        facts["category"] = category
    if path is not None:
        _set_attribute(facts, "product_type", path)
    return note


@lru_cache(maxsize=4_096)
def _category_path(text: str) -> tuple[str, str | None]:
    """The last part of a path as `Clothing > Shoes > Boots`, and the whole path if it has several parts."""
    parts = [part.strip() for part in PATH_SEPARATOR.split(text.replace("&gt;", ">")) if part.strip()]
    return (parts[-1] if parts else ""), (" > ".join(parts) if len(parts) > 1 else None)


def _read_stock(facts: Facts, cell: Json) -> str | None:
    text, note = first_text(cell)
    if text:
        facts["in_stock"], kind = read_availability(text)
        if kind is not None:
            _set_attribute(facts, "availability", kind)
    return note


def _read_tags(facts: Facts, cell: Json) -> str | None:
    inner = parse_embedded(cell.strip()) if isinstance(cell, str) else cell
    texts = split_list(inner) if isinstance(inner, str) else texts_of(inner)
    facts["tags"] = tuple(dict.fromkeys(texts[:MOST_TEXTS]))
    return None


def _read_created_at(facts: Facts, cell: Json) -> str | None:
    text, note = first_text(cell)
    if text.strip("0-:. TZ/"):  # MySQL writes zeros where there is no date, and Debezium the beginning of 1970
        moment = read_moment(text)
        if moment != EPOCH:
            facts["created_at"] = moment
    return note


def _read_url(facts: Facts, cell: Json) -> str | None:
    text, note = first_text(cell)
    try:
        url = text if PLAIN_URL.fullmatch(text) else absolute_url(clean_link(text[:LONGEST_LINK]))
    except Rejected as rejection:
        raise ValueError(rejection.message) from None
    if text and url is None:
        raise ValueError("it is no http or https URL")
    facts["url"] = url
    return note


def _read_moderation(facts: Facts, cell: Json) -> str | None:
    inner = parse_embedded(cell.strip()) if isinstance(cell, str) else cell
    try:
        texts = split_list(inner) if isinstance(inner, str) else texts_of(inner)
    except ValueError:
        texts = [quoted(cell)]
    labels = dict.fromkeys("_".join(text.casefold().split()) for text in texts)
    if len(labels) <= MAX_LABELS and all(map(LABEL.fullmatch, labels)):
        facts["moderation"] = tuple(labels)
        return None
    good = [label for label in labels if LABEL.fullmatch(label) and label != UNSAFE_LABEL]
    facts["moderation"] = (UNSAFE_LABEL, *good[: MAX_LABELS - 1])
    return f"{quoted(cell)} holds more than labels can be: the item gets the label {UNSAFE_LABEL} in their place"


def _read_adult(facts: Facts, cell: Json) -> str | None:
    try:
        text = first_text(cell)[0]
        is_adult = read_boolean(text) if text else False
    except ValueError:
        is_adult = None
    if is_adult is not False:
        labels = facts.get("moderation", ())
        assert isinstance(labels, tuple)
        facts["moderation"] = tuple(dict.fromkeys([UNSAFE_LABEL, *labels]))[:MAX_LABELS]
    return f"{quoted(cell)} is neither yes nor no: the item gets the label adult" if is_adult is None else None
