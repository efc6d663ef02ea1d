"""Quoting: split the lines of a table into cells, by RFC 4180, and as exporters write them."""

import re
from dataclasses import dataclass
from functools import cached_property

EXCEL_TEXT = re.compile(r'="([^"]*)"')


@dataclass(frozen=True)
class CellSyntax:
    """How the cells of a table are separated and quoted."""

    delimiter: str
    quote: str = '"'
    is_wrapped: bool = False
    """Whether each line is quoted as a whole, as Excel saves a CSV file that it has read as one column."""

    @cached_property
    def regular(self) -> re.Pattern[str]:
        """Lines whose quotes are all as RFC 4180 has them, and closed. Linear, as nothing is tried twice."""
        delimiter, quote = re.escape(self.delimiter), re.escape(self.quote)
        quoted = f"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"
        cell = f"(?:{quoted}|[^{quote}{delimiter}]*+)"
        return re.compile(f"{cell}(?:{delimiter}{cell})*+")

    def describe(self) -> str:
        """The delimiter, for users."""
        known = {"\t": "tabs", " ": "blanks"}.get(self.delimiter)
        written = self.delimiter if self.delimiter.isprintable() else ascii(self.delimiter).strip("'")
        return known or f"`{written}`"

    def split_unquoted(self, text: str) -> list[str]:
        """The cells of a text in which only quotes around a whole cell have a meaning."""
        return [self.unquote(cell) for cell in text.split(self.delimiter)]

    def unquote(self, cell: str) -> str:
        """A cell without the quotes around it."""
        if len(cell) > 1 and cell[0] == cell[-1] == self.quote:
            return cell[1:-1].replace(self.quote * 2, self.quote)
        return cell


class SplitLine:
    """The cells of a row; the row continues in the next line while a quoted cell is open."""

    def __init__(self, syntax: CellSyntax, text: str, escape: str = "") -> None:
        self.cells: list[str] = []
        self.is_open = False
        """Whether the last cell is quoted and not closed yet."""
        self.is_regular = True
        """Whether there were no quotes but around cells, and doubled ones within them."""
        self._syntax, self._escape = syntax, escape
        self._open_text: list[str] = []
        self._read_cells(text, 0)

    def has_open_cell(self, place: int) -> bool:
        """Whether the cell at a place, from 1, is quoted and not closed yet."""
        return self.is_open and len(self.cells) == place - 1

    def add_line(self, text: str, line_end: str) -> None:
        """Continue with the next line; `line_end` is the line end before it."""
        self._open_text.append(line_end)
        place = self._skip_blanks(text, self._read_quoted(text, 0))
        if not self.is_open and place < len(text):
            self._read_cells(text, place + len(self._syntax.delimiter))

    def _read_cells(self, text: str, place: int) -> None:
        delimiter, quote = self._syntax.delimiter, self._syntax.quote
        while True:
            start = self._skip_blanks(text, place)
            if text.startswith(quote, start):
                place = self._skip_blanks(text, self._read_quoted(text, start + 1))
                if self.is_open or place >= len(text):
                    return
            else:
                end = text.find(delimiter, place)
                cell = text[place:] if end < 0 else text[place:end]
                self.is_regular = self.is_regular and quote not in cell
                self.cells.append(cell)
                if end < 0:
                    return
                place = end
            place += len(delimiter)

    def _skip_blanks(self, text: str, place: int) -> int:
        while text.startswith(" ", place) and self._syntax.delimiter != " ":
            place += 1
        return place

    def _read_quoted(self, text: str, place: int) -> int:
        """Read a quoted cell from behind its opening quote; returns the place behind its closing quote."""
        quote, length = self._syntax.quote, len(text)
        start = place
        while True:
            at = text.find(quote, place)
            if at < 0:
                self._open_text.append(text[start:])
                self.is_open = True
                return length
            if self._escape and at > start and text[at - 1] == self._escape:
                self._open_text.append(text[start : at - 1] + quote)
                start = place = at + 1
            elif text.startswith(quote, at + 1):
                self._open_text.append(text[start : at + 1])
                start = place = at + 2
            elif self._ends_cell(text, at + 1):
                self.cells.append("".join((*self._open_text, text[start:at])))
                self._open_text, self.is_open = [], False
                return at + 1
            else:
                self.is_regular = False
                place = at + 1

    def _ends_cell(self, text: str, place: int) -> bool:
        place = self._skip_blanks(text, place)
        return place >= len(text) or text.startswith(self._syntax.delimiter, place)


def clean_cell(cell: str) -> str:
    """A cell without the additions of exporters: padding NULs, Excel's ="...", and MySQL's \\N."""
    if cell == "\\N":
        return ""
    text = cell.strip("\0") if "\0" in cell else cell
    formula = EXCEL_TEXT.fullmatch(text) if text.startswith("=") else None
    return formula[1] if formula else text
