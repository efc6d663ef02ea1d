"""Tables: read CSV, TSV and the like row by row. A bad line does not affect the others, and none is left out."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.config.errors import BadInput
from producers.feeds.column_names import LIST_COLUMNS, column_key
from producers.feeds.feed_file import MAX_LINE, FeedFile, is_utf8
from producers.feeds.quoting import SplitLine, clean_cell
from producers.feeds.table_layout import TableLayout, find_layout
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow

SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 1 << 18
MAX_LINES_IN_CELL, MAX_CELL = 5_000, 1 << 20
"""Lines and characters of a quoted cell; longer ones are taken for a quote that is not closed."""
LOOK_AHEAD_PER_LINE, FREE_LOOK_AHEAD = 4, 20_000
"""How many lines may be searched for the end of quoted cells, for each line that was read; it bounds the time."""
UNNAMED = "column_{}"
BLANKS = " \t\0\x1a"
"""Characters of a line without cells; files of DOS end with \\x1a."""
LINE_ENDS = "\r\n"


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table, and notes about them for users."""

    names: tuple[str, ...]
    """The name of each column, as in rows; columns with one name become one cell of a row."""
    layout: TableLayout

    @property
    def is_unique(self) -> bool:
        """Whether no name is repeated."""
        return len(set(self.names)) == len(self.names)


class TableReader:
    """Reads the rows of a table."""

    def __init__(self, file: FeedFile) -> None:
        self._file = file
        self._ahead: deque[str] = deque()
        self._looked = 0
        """Lines that were searched for the end of quoted cells."""
        sample = self._take_sample()
        try:
            layout = find_layout([line.rstrip(LINE_ENDS) for line in sample], file.options)
        except ValueError as error:
            raise BadInput(f"{file.path} is no table: {error}") from None
        names = tuple(column_key(name) or UNNAMED.format(place) for place, name in enumerate(layout.names, 1))
        self.columns = TableColumns(names, layout)
        self._header = sample[layout.header_lines - 1].rstrip(LINE_ENDS)
        self._ahead.extend(sample[layout.header_lines :])
        self._line = layout.header_lines
        self._slot: list[str] = []
        delimiter, quote = layout.syntax.delimiter, layout.syntax.quote
        slot = iter(self._slot.pop, None)
        self._csv = csv.reader(slot, delimiter=delimiter, quotechar=quote) if len(delimiter) == 1 else None

    def rows(self) -> Iterator[FeedRow | BadRow | SkippedRow]:
        """The rows after the header."""
        names, width, is_unique = self.columns.names, len(self.columns.names), self.columns.is_unique
        for line in self._lines():
            self._line += 1
            text = line.rstrip(LINE_ENDS)
            cells = self._split_usual(text) if is_unique and len(text) < len(line) else None
            if cells is not None and len(cells) <= width:
                if cells[0].strip() or any(map(str.strip, cells)):
                    yield FeedRow(self._line, dict(zip(names, cells, strict=False)))
                continue
            if text and not text.isspace():
                row = self._read_row(line, text)
                if row is not None:
                    yield row
        if self._file.damage is not None:
            yield BadRow(self._line + 1, f"the file {self._file.damage}: nothing after it is read")

    def _split_usual(self, text: str) -> list[str] | None:
        """The cells of a line with nothing unusual in it, as `_cells_of` gives them; None if it needs that."""
        if "\0" in text or "\\N" in text or text == self._header or not is_utf8(text):
            return None
        syntax = self.columns.layout.syntax
        if syntax.quote not in text:
            return text.split(syntax.delimiter)
        is_plain = not syntax.is_wrapped and syntax.delimiter != "\t" and '="' not in text
        return self._split_regular(text) if is_plain and syntax.regular.fullmatch(text) else None

    def _read_row(self, line: str, text: str) -> FeedRow | BadRow | SkippedRow | None:
        """The row that begins with a line, of which `text` is without the line end."""
        start = self._line
        if len(text) == len(line):
            if len(line) >= MAX_LINE:
                self._skip_line()
                return BadRow(start, f"the line has more than {MAX_LINE:,} characters")
            if self._file.damage is not None:
                self._line -= 1  # the row is not whole
                return None
        if text == self._header:
            return SkippedRow(start, "it repeats the header")
        if self.columns.layout.syntax.is_wrapped:
            text = self.columns.layout.syntax.unquote(text.strip())
        if not text.strip(BLANKS):
            return None
        cells = self._cells_of(text)
        if isinstance(cells, str):
            return BadRow(start, cells)
        return self._make_row(start, cells) if any(cell.strip() for cell in cells) else None

    def _cells_of(self, text: str) -> Sequence[str] | str:
        """The cells of the row that begins with a line; a sentence with the reason if it cannot be used."""
        start = self._line
        cells = self._split_row(text)
        if isinstance(cells, str):
            return cells
        if "\0" in text or "\\N" in text or '="' in text:
            cells = [clean_cell(cell) for cell in cells]
            if any("\0" in cell for cell in cells):
                return "the row has a NUL character in a cell: is the file damaged?"
        if not is_utf8(text) or (start < self._line and not all(map(is_utf8, cells))):
            name = self._file.encoding_name
            return f"the row is not {name}, as the rest is: save the file as UTF-8, or give --encoding"
        return cells

    def _make_row(self, line: int, cells: Sequence[str]) -> FeedRow | BadRow:
        names = self.columns.names
        if any(cell.strip() for cell in cells[len(names) :]):
            return BadRow(
                line, f"the row has {len(cells)} cells, the header {len(names)}: quote cells that hold delimiters"
            )
        if self.columns.is_unique:
            return FeedRow(line, dict(zip(names, cells, strict=False)))
        values: dict[str, list[str]] = {}
        for name, cell in zip(names, cells, strict=False):
            values.setdefault(name, []).extend([cell] if cell.strip() else [])
        row: dict[str, Json] = {
            name: found if name in LIST_COLUMNS and len(found) > 1 else found[0] if found else ""
            for name, found in values.items()
        }
        return FeedRow(line, row)

    def _split_row(self, text: str) -> Sequence[str] | str:
        """The cells of a row; a sentence with the reason if its quotes cannot be understood."""
        syntax, width = self.columns.layout.syntax, len(self.columns.names)
        if syntax.quote not in text:
            return text.split(syntax.delimiter)
        cells = syntax.split_unquoted(text)
        if syntax.delimiter == "\t" and len(cells) == width and not self._may_continue(text):
            return cells  # in a table with tabs, a quote counts only where its partner ends the cell
        if syntax.regular.fullmatch(text):
            return self._split_regular(text)
        line, escaped = SplitLine(syntax, text), SplitLine(syntax, text, escape="\\")
        is_doubtful = line.is_open or not line.is_regular
        if is_doubtful and not escaped.is_open and escaped.is_regular and len(escaped.cells) == width:
            return escaped.cells
        if not line.is_open and (len(line.cells) == width or line.is_regular):
            return line.cells
        parts = text.split(syntax.delimiter)
        if len(parts) == width and not any(part.count(syntax.quote) % 2 for part in parts):
            return cells  # quotes stand in pairs within the cells, as in `"Best" of all`
        if line.is_open and self._join_lines(line, text):
            return line.cells
        if syntax.delimiter == "\t":
            return cells
        cell = self.columns.layout.names[min(len(line.cells), width - 1)]
        return f"a quote in column `{cell}` is not closed: close it, and double the quotes within quoted cells"

    def _may_continue(self, text: str) -> bool:
        """Whether a quote opens the last cell of a line with all cells, so that its text may continue below."""
        syntax = self.columns.layout.syntax
        last_cell = text.rpartition(syntax.delimiter)[2]
        return last_cell.startswith(syntax.quote) and SplitLine(syntax, text).has_open_cell(len(self.columns.names))

    def _split_regular(self, text: str) -> list[str]:
        if self._csv is not None and len(text) <= csv.field_size_limit():
            self._slot.append(text)
            return next(self._csv)
        return SplitLine(self.columns.layout.syntax, text).cells

    def _join_lines(self, line: SplitLine, text: str) -> bool:
        """Add the lines up to the end of a quoted cell. False if its quote is a lone one; then nothing is read.

        A quote is a lone one if its cell would hold a line that is a row by itself. If the line of the quote has
        the shape of a row, another line of that shape is enough, or a quote that is not doubled: a second lone
        quote, or the quotes of a cell in the next row, may be what closes the cell.
        """
        layout, place, size = self.columns.layout, 0, len(text)
        may_be_row = layout.has_row_shape(text)
        while line.is_open:
            following = self._line_ahead(place)
            self._looked += 1
            is_far = place >= MAX_LINES_IN_CELL or size > MAX_CELL
            if following is None or is_far or self._looked > FREE_LOOK_AHEAD + LOOK_AHEAD_PER_LINE * self._line:
                return False
            next_text = following.rstrip(LINE_ENDS)
            if layout.is_row(next_text) or (may_be_row and layout.has_row_shape(next_text)):
                return False
            line.add_line(next_text, "\n")
            place, size = place + 1, size + len(next_text)
        width = len(layout.names)
        if not line.is_regular and (may_be_row or len(line.cells) != width):
            return False
        if len(line.cells) > width:
            return False
        for _ in range(place):
            self._ahead.popleft()
        self._line += place
        return True

    def _skip_line(self) -> None:
        """Read to the end of a line."""
        line: str | None = ""
        while line is not None and not line.endswith(("\n", "\r")):
            line = self._line_ahead(0)
            if line is not None:
                self._ahead.popleft()

    def _take_sample(self) -> list[str]:
        sample: list[str] = []
        size = 0
        for line in self._file:
            sample.append(line)
            size += len(line)
            if len(sample) >= SAMPLE_LINES or size >= SAMPLE_CHARACTERS:
                break
        return sample

    def _lines(self) -> Iterator[str]:
        ahead = self._ahead
        while True:
            while ahead:
                yield ahead.popleft()
            for line in self._file:
                yield line
                if ahead:
                    break
            else:
                if not ahead:
                    return

    def _line_ahead(self, place: int) -> str | None:
        """A line that was not read yet; the next one is 0."""
        while len(self._ahead) <= place:
            line = next(iter(self._file), None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[place]
