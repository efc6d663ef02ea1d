"""Named encodings: UTF-7 and windows-1258, which are read only if the file or the user names them.

Their bytes do not show them: UTF-7 is all ASCII, and bytes of windows-1258 are letters in other encodings too.
"""

import binascii
import re
import unicodedata
from typing import Protocol

MARK_OF_UTF7 = b"+/v8-"
"""The byte order mark in UTF-7."""
SHIFTED = re.compile(rb"\+(?:-|([A-Za-z0-9+/]{0,400})-?)")
"""A plus sign, or letters in base64, in UTF-7 (RFC 2152)."""
MOST_MARKS = 8
"""Accents of one letter that are joined with it; Vietnamese has two."""


class DecodeText(Protocol):
    """The method `decode` of an incremental decoder."""

    def __call__(self, data: bytes, /, *, final: bool) -> str:
        """The text of the next bytes."""


def is_utf7(start: bytes) -> bool:
    """Whether a text is UTF-7: it is ASCII, and each of its plus signs begins base64 of letters beyond ASCII."""
    if not start.isascii() or b"+" not in start:
        return False
    shifted = [found[1] for found in SHIFTED.finditer(start) if found[1] is not None]
    return bool(shifted) and all(map(_is_text, shifted))


def _is_text(letters: bytes) -> bool:
    """Whether base64 is a text in UTF-7 that needs it; a telephone number is none."""
    try:
        data = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
        text = data[: len(data) // 2 * 2].decode("utf-16-be")
    except ValueError:
        return False
    is_whole = text.encode("utf-7").strip(b"+-") == letters and not letters.isdigit()
    return is_whole and text.isprintable() and any(letter > "\x7f" for letter in text)


def compose(decode: DecodeText) -> DecodeText:
    """A decoder that joins letters and the accents behind them (NFC), as windows-1258 has them."""
    rest = ""

    def decode_composed(data: bytes, /, *, final: bool) -> str:
        nonlocal rest
        text = rest + decode(data, final=final)
        places = () if final else range(len(text) - 1, max(len(text) - MOST_MARKS, 0) - 1, -1)
        end = next((place for place in places if not unicodedata.combining(text[place])), len(text))
        rest = text[end:]
        return unicodedata.normalize("NFC", text[:end])

    return decode_composed
