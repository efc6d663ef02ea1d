"""Price columns: the price of a row, from its price, sale price, dates of the sale and currency."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from producers.facts.cell_values import first_text, quoted
from producers.facts.currencies import find_currency
from producers.facts.moments import read_moment
from producers.facts.prices import read_price
from producers.row_reader import Json

PRICE_FIELDS = ("price", "currency", "sale_price", "sale_price_effective_date")
Price = tuple[Decimal, str]
"""Amount and ISO 4217 code."""


class PriceReader:
    """Reads the price of the rows of one feed; `currency` holds for prices without one."""

    def __init__(self, columns: Mapping[str, str], currency: str | None) -> None:
        self._currency = currency
        self._columns = [columns.get(field, "") for field in PRICE_FIELDS]

    def read(self, cells: Mapping[str, Json], left_out: list[str]) -> Price | None:
        """The price of a row; the sale price if it is valid now and lower. Appends what could not be read."""
        price_column, currency_column, sale_column, dates_column = self._columns
        currency, own = self._currency, cells.get(currency_column)
        if own is not None and own != "":
            currency = find_currency(own.strip(), self._currency) if isinstance(own, str) else None
            if currency is None:
                left_out.append(f"{currency_column}: {quoted(own)} is left out: it is no ISO 4217 code, as EUR")
        price = _read_amount(price_column, cells.get(price_column), currency, left_out)
        sale_currency = currency if price is None else price[1]
        sale = _read_amount(sale_column, cells.get(sale_column), sale_currency, left_out)
        if sale is None or sale[0] == 0 or (price is not None and (sale[1] != price[1] or sale[0] >= price[0])):
            return price
        return sale if _is_on_sale(dates_column, cells.get(dates_column), left_out) else price


def _read_amount(column: str, cell: Json, currency: str | None, left_out: list[str]) -> Price | None:
    if cell is None or cell == "":
        return None
    try:
        return read_price(cell, currency)
    except ValueError as error:
        left_out.append(f"{column}: {quoted(cell)} is left out: {error}")
        return None


def _is_on_sale(column: str, cell: Json, left_out: list[str]) -> bool:
    """Whether a sale price is valid now, by its dates `FROM/TO`; one that is missing sets no limit."""
    if cell is None or cell == "":
        return True
    now = datetime.now(UTC)
    try:
        first, slash, last = first_text(cell)[0].partition("/")
        begins, ends = (read_moment(text) if text.strip() else now for text in (first, last))
        if not slash:
            raise ValueError("write two times of ISO 8601 with / between them")
    except ValueError as error:
        left_out.append(f"{column}: {quoted(cell)} cannot be read, so the sale price is left out: {error}")
        return False
    return begins <= now <= ends
