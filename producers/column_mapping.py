"""Column mapping: assign the columns of a feed to item fields, by Google's names, its dialect, or `--map`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from infra.config.errors import BadInput
from producers.feeds.column_names import GOOGLE_COLUMNS, column_key
from producers.feeds.feed_file import ReadOptions
from producers.feeds.formats import FeedOverview, inspect_feed

FIELDS = (
    "item_id", "title", "image", "additional_images", "price", "currency", "in_stock", "category", "brand",
    "tags", "moderation", "adult", "created_at", "url", "revision", "sale_price", "sale_price_effective_date",
)  # fmt: skip
REQUIRED_FIELDS = ("item_id", "image")
ATTRIBUTE = "attributes."
ALL_FIELDS = ", ".join([*FIELDS, f"{ATTRIBUTE}NAME"])
MAX_NAMES = 60
"""Columns that are listed in a message."""


class ChosenColumns(dict[str, str]):
    """Our fields and their columns in the rows of a feed."""

    def __init__(self, columns: dict[str, str], summary: Sequence[str]) -> None:
        super().__init__(columns)
        self.summary = tuple(summary)
        """Lines for users: how the file is read, which columns are used, and which are not."""


def choose_columns(path: Path, mappings: Sequence[str], options: ReadOptions | None = None) -> ChosenColumns:
    """Our fields and their columns in this file: Google's names, overridden by mappings `field=column`.

    Google's names hold in JSON and XML even if they come late. Raises BadInput, with the known names, if a field is
    unknown, a column is missing, or no column has the item's id or picture, and if the file is no feed.
    """
    overview = inspect_feed(path, options)
    available = _available_columns(overview)
    columns = {name: column for name, column in GOOGLE_COLUMNS.items() if overview.is_open or column in available}
    columns |= _parse_mappings(path, mappings, overview, available)
    if not overview.has_rows and overview.kind in ("json", "xml"):
        if overview.first_bad is not None:
            raise BadInput(f"{path}, line {overview.first_bad.line}: {overview.first_bad.message}")
        columns = {**GOOGLE_COLUMNS, **columns}
    elif any(column not in available for column in (columns.get(name) for name in REQUIRED_FIELDS)):
        _refuse(path, columns, overview, available)
    return ChosenColumns(columns, _summarise(columns, overview))


def _available_columns(overview: FeedOverview) -> list[str]:
    """The columns of a feed's rows, with those that its dialect makes."""
    made = [] if overview.dialect is None else overview.dialect.columns
    return list(dict.fromkeys([*overview.names, *made]))


def _parse_mappings(
    path: Path, mappings: Sequence[str], overview: FeedOverview, available: Sequence[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for mapping in mappings:
        name, column = _parse_mapping(mapping)
        key = column_key(column)
        if found.get(name, key) != key:
            raise BadInput(f"--map {mapping}: {name} has the column `{found[name]}` already: give each field once")
        if key not in available and (not overview.is_open or name in REQUIRED_FIELDS):
            raise BadInput(f"--map {mapping}: {path} has no column `{column}`, it has {_list_names(overview)}")
        found[name] = key
    return found


def mapped_columns(mappings: Sequence[str]) -> frozenset[str]:
    """The keys of the columns in mappings `field=column`."""
    return frozenset(column_key(mapping.partition("=")[2]) for mapping in mappings)


def _parse_mapping(mapping: str) -> tuple[str, str]:
    name, equals, column = mapping.partition("=")
    if not equals or not is_field(name):
        raise BadInput(f"--map {mapping}: write FIELD=COLUMN, where FIELD is {ALL_FIELDS}")
    return name, column


def is_field(name: str) -> bool:
    """Whether a column can be mapped to a field of this name."""
    return name in FIELDS or (name.startswith(ATTRIBUTE) and name != ATTRIBUTE)


def _refuse(path: Path, columns: dict[str, str], overview: FeedOverview, available: Sequence[str]) -> None:
    """Raise BadInput because the id or the picture has no column."""
    name = next(name for name in REQUIRED_FIELDS if columns.get(name) not in available)
    written = list(overview.names.values())
    if overview.kind == "table" and any("://" in column for column in written):
        raise BadInput(
            f"{path} has no header: its first line is a row; put a line with the names of columns above it"
        )
    if sum(column.isprintable() and len(column) <= 100 for column in written) < len(written):
        raise BadInput(
            f"{path} is no feed that can be read: it looks like {overview.description}, and its columns have no "
            "names: if it is a feed, give --encoding and --delimiter"
        )
    raise BadInput(
        f"{path} has no column `{GOOGLE_COLUMNS[name]}`: name the one that it is with --map {name}=COLUMN; "
        f"it has {_list_names(overview)} ({overview.description})"
    )


def _list_names(overview: FeedOverview) -> str:
    return _shorten(overview.names.values()) or "nothing"


def _shorten(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(name[:80] for name in listed[:MAX_NAMES]) + more


def _summarise(columns: dict[str, str], overview: FeedOverview) -> list[str]:
    """What users should know of how a feed is read."""
    dialect = overview.dialect
    sources = {} if dialect is None else dialect.columns
    uses, used = [], {*columns.values(), *(() if dialect is None else dialect.other_columns)}
    for name, column in columns.items():
        own = next((each for each in sources.get(column, ()) if each in overview.names), column)
        used.update(sources.get(column, ()))
        if own in overview.names:
            uses.append(f"{name} = {overview.names[own]}")
    unused = [written for key, written in overview.names.items() if key not in used]
    kind = f"{dialect.name}: {overview.description}" if dialect else overview.description
    lines = [f"the file is read as {kind}", f"columns: {', '.join(uses) or 'none'}"]
    lines += [f"columns that are not used: {_shorten(unused)}"] if unused else []
    lines += [] if overview.has_rows else ["the feed has no products"]
    return [*lines, *overview.remarks]
