"""Prices: read an amount and its currency from the spellings of feeds.

The number alone mostly shows what separates decimals and thousands: `1.234,56`, `1,234.56`, `1 234,5`, `1'234.50`,
`1,23,456.00`, `12,00`, `12.0000`. A single separator before exactly three digits is ambiguous:

    1,234       1234      a comma before three digits separates thousands, as prices have two decimals
    1.234       1.234     a point is the decimal sign of the specifications (Google, Meta, schema.org) ...
    1.234 JPY   1234      ... but not for currencies without decimals,
    1.234 €     1234      ... nor beside a symbol, which people write, where they write decimals behind a comma
    1,234 KWD   1.234     currencies with three decimals: both are decimal signs
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from html import unescape

from producers.facts.cell_values import parse_embedded, text_of
from producers.facts.currencies import decimals_of, find_currency, is_written_with_comma, meanings_of
from producers.row_reader import Json

FAST_PRICE = re.compile(r"(\d{1,12}(?:\.\d{1,2})?)(?: ?([A-Z]{3}))?", re.ASCII)
"""The spelling of Google's specification, which most feeds have."""
LONGEST = 100
"""Most characters of a cell that is read as a price."""
MOST = Decimal(10**12)
FLOAT_NOISE = Decimal(2) ** -24
"""Relative error of a single-precision float, as 19.989999771118164 has."""
SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[eE][+-]?\d{1,3}(?![\w])", re.ASCII)
NUMBER = re.compile(rf"{SCIENTIFIC.pattern}|[.,]?\d+(?:[.,]\d+|[' ]\d{{3}}(?!\d))*", re.ASCII)
NO_CENTS = re.compile(r"(?<=\d)([.,])-{1,2}(?!\d)", re.ASCII)
"""`12,-`, as people in Germany, the Netherlands and Switzerland write whole amounts."""
GROUPS = re.compile(r"\d{1,3}(?:\D\d{3})+|\d{1,3}(?:\D\d{2})+\D\d{3}", re.ASCII)
"""Digits in groups of three, or in India's groups: two, and three at the end."""
DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
APOSTROPHES = dict.fromkeys([0x60, 0xB4, 0x2018, 0x2019, 0x02BC], "'")
SIGNS = {0x066B: ".", 0x066C: ",", 0x060C: ","} | DASHES | APOSTROPHES
"""ASCII signs for those of other scripts and of typesetting."""
WORD = re.compile(r"[^\W\d_]*\$|[^\W\d_]+|[^\w\s]|_")
RANGE_WORDS = {"-", "~", "to", "bis", "till", "til", "tot", "a", "à", "do", "до", "至"}
OTHER_WORDS = {
    *RANGE_WORDS, *".:,/+'*()", "from", "ab", "von", "de", "desde", "da", "od", "от", "från", "fra", "vanaf",
    "partir", "only", "nur", "price", "preis", "prix", "precio", "prezzo", "incl", "inkl", "inc", "vat", "mwst",
    "ust", "ttc", "iva", "tva", "btw", "moms", "dph", "us",
    "excl", "exkl", "plus", "zzgl", "versand", "shipping", "each", "ea", "pc", "piece", "stk", "stück", "pro",
    "per",
}  # fmt: skip
"""Words and signs next to an amount that do not change it."""
AMOUNT_KEYS = ("amount", "value", "price", "min", "minPrice", "lowPrice", "from", "gross", "presentmentMoney")
CURRENCY_KEYS = ("currency", "currencyCode", "currency_code", "priceCurrency", "currencyIso", "code", "unit")
HUNDREDTHS_KEYS = ("centAmount", "unit_amount", "amountCents", "amount_cents", "cents")
MICROS_KEYS = ("amountMicros", "amount_micros", "micros")


def read_price(cell: Json, currency: str | None) -> tuple[Decimal, str]:
    """The amount, from 0 to 10**12 with at most 4 decimals, and the ISO 4217 code of a price.

    A range has its lowest amount. `currency` holds for prices without one. Raises ValueError with the reason.
    """
    if isinstance(cell, str):
        fast = FAST_PRICE.fullmatch(cell)
        if fast is not None and (code := fast[2] or currency):
            return _within(Decimal(fast[1])), code
        cell = parse_embedded(cell.strip())
    if isinstance(cell, list):
        if not cell or isinstance(cell[0], list):
            raise ValueError("it is a list without a price")
        return read_price(cell[0], currency)
    if isinstance(cell, Mapping):
        return _price_object(cell, currency)
    return _price_text(text_of(cell), currency)


def _price_object(cell: Mapping[str, Json], currency: str | None) -> tuple[Decimal, str]:
    """The price of an object with an amount and a currency, as APIs write it."""
    code = next((cell[key] for key in CURRENCY_KEYS if isinstance(cell.get(key), str)), None)
    own = find_currency(str(code).strip(), currency) if code is not None else currency
    if code is not None and own is None:
        raise ValueError(f"`{str(code)[:20]}` is no ISO 4217 code of a currency")
    for keys, places in ((HUNDREDTHS_KEYS, None), (MICROS_KEYS, 6)):
        number = next((cell[key] for key in keys if cell.get(key) is not None), None)
        if number is not None:
            amount, found = _price_text(text_of(number), own)
            digits = cell.get("fractionDigits")
            own_places = int(str(digits)) if digits in ("0", "2", "3", "4") else decimals_of(found)
            return amount.scaleb(-(own_places if places is None else places)).normalize() + Decimal("0.00"), found
    amount_cell = next((cell[key] for key in AMOUNT_KEYS if cell.get(key) is not None), None)
    if amount_cell is None or isinstance(amount_cell, list):
        raise ValueError(f"it is an object without {', '.join(AMOUNT_KEYS[:3])}")
    minor_unit = str(cell.get("currency_minor_unit"))
    if minor_unit in ("0", "2", "3") and not isinstance(amount_cell, Mapping):  # WooCommerce's Store API
        amount, found = _price_text(text_of(amount_cell), own)
        return amount.scaleb(-int(minor_unit)), found
    if isinstance(amount_cell, Mapping):
        inner = amount_cell.get("amount", amount_cell.get("value"))
        if inner is None or isinstance(inner, Mapping | list):
            raise ValueError("it is an object without an amount")
        return _price_object({"currency": own, **amount_cell}, own)
    return _price_text(text_of(amount_cell), own)


def _price_text(text: str, currency: str | None) -> tuple[Decimal, str]:
    plain = _plain(text)
    numbers = list(NUMBER.finditer(plain))
    if not numbers or len(plain) > LONGEST:
        raise ValueError("it has no amount: write a number and a currency, as 19.99 EUR")
    words = WORD.findall(NUMBER.sub(" ", plain))
    code, is_symbol = _currency_of(words, currency)
    before, behind = plain[: numbers[0].start()].rstrip(), plain[numbers[0].end() :].lstrip()
    if before.endswith("-") or (before.endswith("(") and behind.startswith(")")):  # accountants write (3.00)
        raise ValueError("it is below zero")
    if len(numbers) > 2 or (len(numbers) == 2 and not _is_range(plain[numbers[0].end() : numbers[1].start()])):
        raise ValueError("it has several amounts: write one number and a currency, as 19.99 EUR")
    point_groups = decimals_of(code) == 0 or (is_symbol and is_written_with_comma(code))
    signs = ".," if decimals_of(code) == 3 else "" if point_groups else "."
    return min(_rounded(_amount(number[0], signs), code) for number in numbers), code


def _plain(text: str) -> str:
    """A text with ASCII digits, signs and blanks in place of those of other scripts, and 00 for `,-`."""
    folded = unicodedata.normalize("NFKC", unescape(text[: LONGEST * 2])).translate(SIGNS)
    if not folded.isascii():
        folded = "".join(str(unicodedata.decimal(letter, letter)) for letter in folded)
    return NO_CENTS.sub(r"\g<1>00", " ".join(folded.split()))


def _is_range(between: str) -> bool:
    return any(word.casefold() in RANGE_WORDS for word in WORD.findall(between))


def _currency_of(words: list[str], default: str | None) -> tuple[str, bool]:
    """The one currency that the words next to an amount name, else `default`; and whether a symbol named it."""
    rest = [word for word in words if word.casefold() not in OTHER_WORDS]
    meanings = {word: meanings_of(word) for word in rest}
    unknown = next((word for word, codes in meanings.items() if not codes), None)
    if unknown is not None:
        raise ValueError(f"`{unknown[:20]}` is no currency: write a number and a currency, as 19.99 EUR")
    found = [
        code for code in next(iter(meanings.values()), []) if all(code in codes for codes in meanings.values())
    ]
    if meanings and not found:
        raise ValueError(f"it names several currencies: {', '.join(meanings)}")
    code = default if default in found else next(iter(found), default)
    if code is None:
        raise ValueError("it has no currency: write 19.99 EUR, or give --currency EUR")
    return code, bool(meanings) and not any(word.upper() == code for word in meanings)


def _amount(number: str, signs: str) -> Decimal:
    """The value of digits with separators; `signs` are those before three digits that are no thousands."""
    if "e" in number or "E" in number:
        return _within(Decimal(number.replace(",", ".")))
    marks = [letter for letter in number if letter in "., '"]
    sign = _decimal_sign(number, marks, signs)
    whole, _, fraction = number.rpartition(sign) if sign else (number, "", "")
    grouping = {letter for letter in whole if letter in "., '"}
    if len(grouping) > 1 or (grouping and not GROUPS.fullmatch(whole)) or len(number) > 40:
        raise ValueError("its separators of thousands and decimals are mixed: write it as 1234.56")
    digits = "".join(letter for letter in whole if letter.isdigit())
    return _within(Decimal(f"{digits or '0'}.{fraction or '0'}" if sign else digits))


def _decimal_sign(number: str, marks: list[str], signs: str) -> str | None:
    """The separator before the decimals; None if all separators are between thousands, or there are none."""
    if not marks or marks[-1] in "' ":
        return None
    last = marks[-1]
    if len(set(marks)) > 1:
        return last if marks.count(last) == 1 else None
    if len(marks) > 1:
        return None
    whole, _, fraction = number.partition(last)
    is_ambiguous = len(fraction) == 3 and 0 < len(whole) <= 3 and not whole.startswith("0")
    return None if is_ambiguous and last not in signs else last


def _within(amount: Decimal) -> Decimal:
    if amount > MOST:
        raise ValueError(f"it is above {MOST:.0f}")
    return amount


def _rounded(amount: Decimal, code: str) -> Decimal:
    """An amount with the decimals of its currency if more are noise or zeros, else with at most 4."""
    exponent = amount.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    usual = decimals_of(code)
    if places <= max(usual, 2):
        return amount if places >= 0 else amount.quantize(Decimal(1))
    rounded = amount.quantize(Decimal(1).scaleb(-max(usual, 2)), ROUND_HALF_EVEN)
    if rounded == amount or (places > 4 and abs(rounded - amount) <= abs(amount) * FLOAT_NOISE):
        return rounded
    return amount.quantize(Decimal("0.0001"), ROUND_HALF_EVEN) if places > 4 else amount
