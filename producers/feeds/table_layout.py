"""Table layout: find the delimiter, the quotes and the header of a table in its first lines."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from producers.feeds.column_names import column_key
from producers.feeds.dialects import PICTURE_COLUMNS, is_known_column
from producers.feeds.feed_file import ReadOptions
from producers.feeds.quoting import CellSyntax, SplitLine

DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x01", "\x1f", "\x1e", "§", "¦", "||", ":")
"""Characters that may separate cells, the more usual first; Hive writes \\x01, some databases \\x1f."""
SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)
"""A first line that names the delimiter for Excel."""
ADDRESS = re.compile(r"(?:https?:)?//\S|\.(?:jpe?g|png|webp|gif|heic|avif|bmp|tiff?|jxl)\b", re.IGNORECASE)
"""A web address, or the name of a picture."""
WRAPPED = re.compile(r'"[^",;\t|]+[,;\t|](?:[^"]|"")*+"')
"""A quoted line with a delimiter."""
HEADER_LINES, SAMPLE_LINES = 30, 100
"""Lines that are searched for the header, and lines after it that are compared with it."""
USUAL_SHARE, NAMED_SHARE = 0.9, 0.3
"""Least share of lines with a web address in a column of them, whatever its name, and if it is named so."""
MAX_COLUMNS, MAX_LETTERS = 2_000, 100_000
"""Most columns of a table, and most letters of a line, that are inspected."""


@dataclass(frozen=True)
class TableLayout:
    """How a table is written, and where its rows begin."""

    syntax: CellSyntax
    names: tuple[str, ...]
    """The names in the header, as they are written."""
    preamble: tuple[str, ...] = ()
    """Lines above the header."""
    header_lines: int = 1
    """Lines of the header with those above it."""
    address_columns: frozenset[int] = frozenset()
    """Places of the columns whose cells are web addresses or names of pictures."""

    def is_row(self, text: str) -> bool:
        """Whether a line by itself is a row of the table: as many cells, and addresses where they belong."""
        if text.count(self.syntax.quote) % 2:
            return False
        line = SplitLine(self.syntax, text)
        return not line.is_open and len(line.cells) == len(self.names) and self.has_addresses(line.cells)

    def has_row_shape(self, text: str) -> bool:
        """Whether a line has as many cells as a row, or more, and its addresses, if quotes do not count."""
        cells = text.split(self.syntax.delimiter)
        return bool(self.address_columns) and len(cells) >= len(self.names) and self.has_addresses(cells)

    def has_addresses(self, cells: Sequence[str]) -> bool:
        """Whether cells have web addresses where the table has them."""
        return all(place < len(cells) and ADDRESS.search(cells[place]) for place in self.address_columns)


def find_layout(lines: Sequence[str], options: ReadOptions) -> TableLayout:
    """The layout of a table with these first lines, without their line ends.

    A line with all columns that the user maps is the header. Raises ValueError if there is no header, and BadInput.
    """
    delimiter, mapped = options.separator(), options.mapped
    lines = [line[:MAX_LETTERS] for line in lines]
    is_wrapped = _are_wrapped(lines)
    lines = [CellSyntax(",").unquote(line.strip()) for line in lines] if is_wrapped else lines
    separator = SEPARATOR_LINE.fullmatch(lines[0].strip(",; \t")) if lines else None
    if separator is not None:
        delimiter = delimiter or separator[1]
    first = 1 if separator is not None else 0
    best: tuple[float, TableLayout] | None = None
    for candidate in [delimiter] if delimiter else DELIMITERS:
        if delimiter or any(candidate in line for line in lines[first : first + HEADER_LINES]):
            syntax = CellSyntax(candidate, _quote_of(lines, candidate), is_wrapped)
            found = _lay_out(lines, first, syntax, mapped)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
    if best is None:  # a table of one column
        best = _lay_out(lines, first, CellSyntax(","), mapped)
    if best is None:
        raise ValueError("it has no line with the names of columns")
    return best[1]


def _are_wrapped(lines: Sequence[str]) -> bool:
    """Whether each line is one quoted cell, of which the first holds several names."""
    present = [line.strip() for line in lines[:SAMPLE_LINES] if line.strip()]
    return len(present) > 1 and all(WRAPPED.fullmatch(line) for line in present)


def _quote_of(lines: Sequence[str], delimiter: str) -> str:
    """The quote of a table: some exporters write 'single' ones, around the names of the columns too."""
    present = [line for line in lines[:SAMPLE_LINES] if line.strip()]
    first = [cell.strip() for cell in present[0].split(delimiter)] if present else []
    are_single = [len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in first]
    return "'" if first and all(are_single) else '"'


def _lay_out(
    lines: Sequence[str], first: int, syntax: CellSyntax, mapped: frozenset[str]
) -> tuple[float, TableLayout] | None:
    """The best header under a syntax, with a score by which syntaxes are compared."""
    best: tuple[float, TableLayout] | None = None
    width = _usual_width(lines[first:], syntax)
    rows = [SplitLine(syntax, line).cells if line.strip() else [] for line in lines]
    for place in range(first, min(len(lines), first + HEADER_LINES)):
        if not rows[place]:
            continue
        names, end = _read_header(lines, place, syntax)
        present = [name for name in names if name.strip()]
        keys = set(map(column_key, present))
        known = sum(map(is_known_column, present)) + len(keys & mapped)
        if not present or len(names) > MAX_COLUMNS or (names[0].lstrip().startswith("#") and known < 2):
            continue
        body = [cells for cells in rows[end : end + SAMPLE_LINES] if cells]
        score = _score(names, body, syntax, known)
        is_wide = len(present) >= width / 2
        is_mapped = bool(mapped) and mapped <= keys
        is_header = is_mapped or known >= max(3, len(present) / 2)  # cells may be known names too, as Color
        if best is None or (score > best[0] and (is_header or not _is_wide(best[1], width))):
            columns = _address_columns(lines[end : end + SAMPLE_LINES], names, syntax)
            best = score, TableLayout(syntax, tuple(names), tuple(lines[:place]), end, columns)
        if is_mapped or (is_wide and known >= 2):
            break
    return best


def _is_wide(layout: TableLayout, width: int) -> bool:
    """Whether the header names half of the columns or more, so that it is more than a title above the table."""
    return sum(bool(name.strip()) for name in layout.names) >= max(width / 2, 2)


def _usual_width(lines: Sequence[str], syntax: CellSyntax) -> int:
    """The most frequent number of cells."""
    counts = Counter(line.count(syntax.delimiter) + 1 for line in lines[:SAMPLE_LINES] if line.strip())
    return max(counts, key=lambda count: (counts[count], count), default=1)


def _read_header(lines: Sequence[str], place: int, syntax: CellSyntax) -> tuple[list[str], int]:
    """The names in a line, and the number of the line behind it; a quoted name may hold line ends."""
    line, end = SplitLine(syntax, lines[place]), place + 1
    while line.is_open and end < min(len(lines), place + 20):
        line.add_line(lines[end], " ")
        end += 1
    if line.is_open:
        return syntax.split_unquoted(lines[place]), place + 1
    return line.cells, end


def _score(names: Sequence[str], body: Sequence[Sequence[str]], syntax: CellSyntax, known: int) -> float:
    """How much a header looks like one: known names, as many as the cells of the lines behind it."""
    same = sum(len(cells) == len(names) for cells in body) / len(body) if body else 0.5
    is_split = len(names) > 1
    addresses = sum(bool(ADDRESS.search(name)) for name in names)
    weight = 0.5 if syntax.delimiter == ":" else 1.0  # times and addresses hold colons
    return 2.0 * known + weight * is_split * (1 + 2 * same + min(len(names), 20) / 40) - 3 * addresses


def _address_columns(lines: Sequence[str], names: Sequence[str], syntax: CellSyntax) -> frozenset[int]:
    """Columns in which nearly every line of the right width has a web address; an open quote may be a lone one.

    For a column that is named as one of pictures, fewer lines are enough: in a table of few rows, the lines of one
    quoted cell can be half of those that seem to be rows.
    """
    quoted = (SplitLine(syntax, line) for line in lines if line.strip())
    split = [line.split(syntax.delimiter) for line in lines if line.strip()]
    rows = [cells if line.is_open else line.cells for line, cells in zip(quoted, split, strict=True)]
    rows = [cells for cells in rows if len(cells) == len(names)]
    counts = Counter(place for cells in rows for place, cell in enumerate(cells) if ADDRESS.search(cell))
    return frozenset(
        place
        for place, count in counts.items()
        if count >= (NAMED_SHARE if column_key(names[place]) in PICTURE_COLUMNS else USUAL_SHARE) * len(rows)
    )
