"""Encoding: detect the encoding of a feed, and convert its bytes to UTF-8 while they are read.

A mark at the beginning (BOM) decides, then the zeros of UTF-16 and UTF-32, then the escape sequences of ISO-2022,
then an XML declaration. Otherwise bytes are ASCII until the first others come; the text around these is compared
with the alphabets of the languages. Bytes that the encoding does not have are converted to BAD_BYTE, which is not
valid UTF-8 either, so that each format finds them in the row where they are.
"""

import codecs
import io
import re
from typing import IO, cast

from producers.feeds.alphabets import Alphabet, CharacterSet, read_alphabets, read_character_sets
from producers.feeds.named_encodings import MARK_OF_UTF7, DecodeText, compose, is_utf7

BAD_BYTE = b"\xff"
SAMPLE, CHUNK = 1 << 16, 1 << 16
"""Bytes after the first one outside of ASCII that are compared; bytes that are converted at once."""
HEAD = 48
"""First bytes in which zeros show UTF-16 and UTF-32: names of columns, or the marks of JSON and XML."""
MAX_WORDS, MAX_BYTES = 300, 3_000
MIN_SCORE, GOOD_SCORE = 0.4, 0.85
"""Shares of the bytes that letters of one language explain, weighed by their frequency: of random bytes up to 0.2,
of texts of shops in their own encoding 0.8 to 1.1, of UTF-8 read as something else up to 0.6."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), (b"\x84\x31\x95\x33", "gb18030"),
    (MARK_OF_UTF7, "utf-7"),
)  # fmt: skip
SUPERSETS = {
    "iso8859-1": "cp1252", "ascii": "utf-8", "utf-8-sig": "utf-8", "iso8859-9": "cp1254", "gb2312": "gb18030",
    "gbk": "gb18030", "hz": "hz", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950", "utf-16": "utf-16-le",
    "utf-32": "utf-32-le", "tis-620": "cp874", "iso8859-11": "cp874",
}  # fmt: skip
"""The encodings that replace these, as in browsers (https://encoding.spec.whatwg.org/#names-and-labels)."""
LABELS = {
    "windows-31j": "cp932",
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "unicode": "utf-16",
}
"""Names that Python does not know."""
ESCAPES = re.compile(rb"\x1b(?:\$[@B]|\([IJ]|\$\(D|(?P<korean>\$\)C))")
"""Sequences that switch to the characters of ISO-2022-JP (RFC 1468), or of ISO-2022-KR (RFC 1557)."""
DECOMPOSED = "cp1258"
"""The encoding of Windows that has accents as characters behind their letters."""
NO_ENCODINGS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}
"""Codecs of Python in which no file is saved."""
SINGLE_BYTE = ("cp125", "iso8859", "koi8", "mac", "cp8")
DECLARATION = re.compile(rb"""<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
WORDS = re.compile(rb"[^\x00-\x2f:-?]+")
"""Words. The second byte of an Asian character may be ASCII, but never a separator of words."""


def find_encoding(name: str) -> str | None:
    """Python's name of an encoding of text, or of one that includes it; None if there is no such encoding."""
    label = name.strip().lower()
    try:
        found = codecs.lookup(LABELS.get(label, label))
        "".encode(found.name)  # codecs that do not encode text raise LookupError
    except (LookupError, ValueError, TypeError):
        return None
    return None if found.name in NO_ENCODINGS else SUPERSETS.get(found.name, found.name)


def find_mark(start: bytes) -> tuple[str, int] | None:
    """The encoding that the first bytes of a file prove, and the length of its mark."""
    for mark, name in MARKS:
        if start.startswith(mark) and not (name == "utf-16-le" and start[2:4] == b"\0\0"):
            return name, len(mark)
    head = start[:HEAD]
    zeros = [head[place::4].count(0) for place in range(4)]
    most = max(len(head) // 4, 1)
    shape = "".join("0" if count > 0.6 * most else "x" for count in zeros)
    found = {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(shape)
    return (found, 0) if found and len(start) >= 8 else None


def find_escapes(start: bytes) -> str | None:
    """The encoding that escape sequences in a text show, whose bytes are all ASCII."""
    found = ESCAPES.search(start) if start.isascii() else None
    return None if found is None else "iso2022_kr" if found["korean"] else "iso2022_jp_ext"


def declared_encoding(start: bytes) -> str | None:
    """The encoding that an XML declaration names."""
    found = DECLARATION.match(start.lstrip())
    return found[1].decode() if found else None


def guess_encoding(sample: bytes) -> str | None:
    """The encoding of a text that is mostly ASCII; None if it cannot be detected.

    UTF-8 with some bad bytes stays UTF-8, unless another encoding explains all bytes well.
    """
    valid = len(SEQUENCE.findall(sample))
    invalid = sum(byte >= 0x80 for byte in SEQUENCE.sub(b"", sample))
    if valid >= 4 * invalid:
        return "utf-8"
    found = [word for word in WORDS.findall(sample) if not word.isascii()]
    words = b" ".join(found[:MAX_WORDS])[:MAX_BYTES].split(b" ")  # words hold no blanks
    letters = sum(byte > 0x7F for word in words for byte in word)
    scores: dict[str, float] = {}
    for alphabet in read_alphabets():
        for rank, name in enumerate(alphabet.encodings):
            score = _score_words(words, name, alphabet) - alphabet.prior(rank, letters)
            scores[name] = max(score, scores.get(name, -1.0))
    for characters in read_character_sets():
        scores |= {name: _score_characters(words, name, characters) for name in characters.encodings}
    best = max(scores, key=lambda name: scores[name])
    if valid >= invalid and scores[best] < GOOD_SCORE:
        return "utf-8"
    return best if scores[best] >= MIN_SCORE else None


def _score_words(words: list[bytes], encoding: str, alphabet: Alphabet) -> float:
    """How well the letters of a language explain the bytes of words in a single-byte encoding, up to about 1."""
    count = sum(byte > 0x7F for word in words for byte in word)
    texts = [word.decode(encoding, "replace") for word in words]
    return sum(map(alphabet.weigh, texts)) / max(count, 1) - alphabet.case_prior(" ".join(texts))


def _score_characters(words: list[bytes], encoding: str, characters: CharacterSet) -> float:
    """How well the characters of a language explain the bytes of words in a multi-byte encoding, up to about 1."""
    text = " ".join(word.decode(encoding, "replace") for word in words)
    count = sum(letter > "\x7f" for letter in text)
    return characters.weigh(text) / max(count, 1) - 0.2 / max(count, 1)


class Utf8Bytes(io.RawIOBase):
    """The bytes of a text file, converted to UTF-8, without its mark."""

    def __init__(self, file: IO[bytes], encoding: str | None = None) -> None:
        self.encoding = encoding or "utf-8"
        """Python's name of the encoding; `utf-8` until other bytes come."""
        self.is_guess = False
        """Whether the encoding was detected by the letters alone."""
        self.unknown: str | None = None
        """The encoding that the file names, if it is not known and not UTF-8."""
        self._declared: str | None = None
        self._file = file
        self._ready = b""
        self._decode: DecodeText | None = None
        self._undecided = encoding is None
        self._start(encoding)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Read bytes of UTF-8."""
        view = memoryview(cast("bytearray", buffer))
        ended = False
        while not self._ready and not ended:
            data = self._file.read(CHUNK)
            ended = not data
            self._ready = self._convert(data, last=ended)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _start(self, encoding: str | None) -> None:
        start = self._file.read(CHUNK)
        mark = find_mark(start)
        if mark is not None and (encoding is None or mark[1] > 0):
            encoding, start = mark[0], start[mark[1] :]
        elif encoding is None and (escaped := find_escapes(start)) is not None:
            encoding = escaped
        elif encoding is None and (label := declared_encoding(start)) is not None:
            declared = find_encoding(label)
            if declared is None and guess_encoding(start) != "utf-8":
                self.unknown = label
            elif declared is not None and declared.startswith(SINGLE_BYTE):
                self._declared = declared  # it is untrue if the text is UTF-8, as it often is
            elif declared is not None and (declared == "utf-7" or not declared.startswith("utf-")):
                encoding = declared  # one of UTF-8 is often untrue, and one that is ASCII is not in UTF-16
        elif encoding is None and is_utf7(start):
            self.unknown = "UTF-7"
        if encoding is not None:
            self._use(encoding)
        self._ready = self._convert(start, last=False)

    def _use(self, encoding: str) -> None:
        self.encoding, self._undecided = encoding, False
        if encoding != "utf-8":
            decode = codecs.getincrementaldecoder(encoding)("replace").decode
            self._decode = compose(decode) if encoding == DECOMPOSED else decode

    def _convert(self, data: bytes, *, last: bool) -> bytes:
        if self._undecided and not data.isascii():
            while len(data) < SAMPLE + CHUNK and (more := self._file.read(CHUNK)):
                data += more
            first = next(place for place, byte in enumerate(data) if byte >= 0x80)
            begin = max(data.rfind(b"\n", 0, first), first - 100, 0)
            encoding = guess_encoding(data[begin : first + SAMPLE])
            if encoding != "utf-8" and self._declared is not None:
                encoding = self._declared
            self.is_guess = encoding not in (None, "utf-8", self._declared)
            self._use(encoding or "utf-8")
        if self._decode is None:
            return data
        return self._decode(data, final=last).encode("utf-8", "replace").replace("\ufffd".encode(), BAD_BYTE)
