"""Picture links: read the picture cells of feeds as URLs, objects of a bucket, inline pictures or paths.

Sources: RFC 3986 and 3987 (URLs, and those with letters beyond ASCII), RFC 2397 (`data:`), and the WHATWG URL
standard for the further spellings that browsers accept (blanks, backslashes, a missing slash).
"""

import base64
import binascii
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote, unquote, unquote_to_bytes

from pydantic import ValidationError

from producers.facts.cell_values import TEXT_KEYS, quoted, texts_of
from producers.row_reader import Json
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, InlineImage, S3Image, UrlImage

LONGEST_URL = 2_048
LINK_KEYS = (
    "url", "src", "link", "href", "image", "image_url", "imageUrl", "image_link", "contentUrl", "secure_url",
    "original", "full", "large", "path", "file", "@id", "id", *TEXT_KEYS,
)  # fmt: skip
"""Keys that hold the picture of an object, in order."""
PLAIN_URL = re.compile(
    r"https?://[A-Za-z0-9.\-]++(?::\d{1,5})?(?:[/?](?:[A-Za-z0-9._~:/?@!$'()*+,=&-]++|%[0-9A-Fa-f]{2})*+)?"
)
"""URLs that are used as they are."""
LINK_START = re.compile(r"[\"'<(\s]*(?:(?:https?:)?[/\\]{2}|https?:[/\\]|s3[an]?://|data:|www\.)", re.I)
IMAGE_TAG = re.compile(r"<img\b[^<>]{0,300}?\bsrc\s*=\s*[\"']?([^\"'\s>]+)", re.I)
SEPARATOR = re.compile(r"(\s*[,;|\r\n\t]+\s*|\s+(?=https?://|s3://))", re.I)
PICTURE_NAME = re.compile(r"\.(?:jpe?g|jpe|jfif|jfi|a?png|webp|gif|hei[cf]|avif|tiff?|bmp|jxl|svg|jp2)$", re.I)
BRACKETED = re.compile(r"\((https?://[^\s()]+)\)", re.I)
"""URLs in brackets after a name, as Airtable and Markdown write attachments."""
PLUGIN_TEXT = re.compile(r" ! ?(?:alt|title|desc|caption) ?:.*", re.I | re.S)
"""Texts that an export plugin of WooCommerce (WebToffee) writes behind a URL: ` ! alt : A ! title : B`."""
LONG_BLANK = re.compile(r"\s{64,}")
EDGES = " ,;|\t\r\n"
"""Characters around links in a list."""
LONGEST_HTML, LONGEST_LINK = 100_000, 8_192
"""Most characters of a cell that is searched for HTML pictures, and of a link other than a data URL."""
HTTP = re.compile(r"(https?):[/\\]*(.*)", re.I | re.S)
SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)
NO_PICTURE_SCHEMES = re.compile(r"(file|blob|cid|about|javascript|mailto|ftp|content):", re.I)
WINDOWS = re.compile(r"[A-Za-z]:[/\\]|\\\\")
"""Paths that name a drive or a computer."""
INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF])
"""Invisible characters that texts have from pages and spreadsheets."""
WRAPPERS = {'"': '"', "'": "'", "<": ">", "`": "`", "“": "”", "„": "“", "«": "»", "(": ")"}
ENTITY = re.compile(r"&(?:amp|#0*38|#x0*26);", re.I)
STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
URL_CHARACTERS = "%/?#:@!$&'()*+,;=~[]"
"""Characters that stay in the path and query of a URL, in addition to letters and digits."""


def is_plain_url(text: str) -> bool:
    """Whether a cell is one http or https URL that is used as it is."""
    return len(text) <= LONGEST_URL and "," not in text and PLAIN_URL.fullmatch(text) is not None


def links_in(cell: Json) -> list[str]:
    """The picture links in a cell, in order: of a text, of a list written as text, of a list, or of objects.

    Raises ValueError if the cell contains anything else.
    """
    if isinstance(cell, str) and is_plain_url(cell):
        return [cell]
    return [link for text in texts_of(cell, LINK_KEYS) for link in split_links(text)]


def split_links(text: str) -> list[str]:
    """The links in a text.

    A link that begins as a URL ends only before another URL, because URLs contain commas. A path ends at a
    separator behind the suffix of a picture, because file names contain commas.
    """
    if is_plain_url(text):
        return [text]
    text = LONG_BLANK.sub(" ", text).strip(EDGES)
    if text[:5].lower() == "data:":  # its own comma stands before the data
        return [part for part in re.split(r"[\s,;|]+(?=data:|https?://)", text) if part]
    if "<img" in text.lower():
        return [unescape(link) for link in IMAGE_TAG.findall(text[:LONGEST_HTML])]
    if not LINK_START.match(text) and (bracketed := BRACKETED.findall(text)):
        return bracketed
    if text[:1] + text[-1:] in ("[]", "{}"):  # a list as Python, PostgreSQL or a person writes it
        text = text[1:-1]
    pieces = SEPARATOR.split(text)
    has_names = any(PICTURE_NAME.search(piece) for piece in pieces[::2])
    links: list[list[str]] = []
    is_url = ends = False
    for number in range(0, len(pieces), 2):
        piece = pieces[number]
        begins_url = LINK_START.match(piece) is not None
        if number == 0 or begins_url or ends:
            links.append([piece])
            is_url = begins_url
        else:
            links[-1] += pieces[number - 1 : number + 1]
        ends = not is_url and (not has_names or PICTURE_NAME.search(piece) is not None)
    found = (PLUGIN_TEXT.sub("", "".join(parts)).strip(EDGES) for parts in links)
    return [link for link in found if link]


def read_link(text: str) -> UrlImage | S3Image | InlineImage | str:
    """The picture that a link names; a path is returned as text. Raises Rejected."""
    if PLAIN_URL.fullmatch(text):
        return _url_image(text)
    link = text.strip()
    if link[:5].lower() == "data:":
        return _data_image(link)
    if len(link) > LONGEST_LINK:
        raise _refused(link, f"has {len(link)} characters, a URL may have {LONGEST_URL}")
    link = clean_link(link)
    if WINDOWS.match(link):
        raise _refused(link, "names a drive or computer of Windows: write the path below --image-root, with /")
    url = absolute_url(link)
    if url is not None:
        return _url_image(url)
    scheme = SCHEME.match(link) or NO_PICTURE_SCHEMES.match(link)
    if scheme is None:
        return link
    if scheme[1].lower() in ("s3", "s3a", "s3n"):
        bucket, _, key = link[scheme.end() :].partition("/")
        try:
            return S3Image(bucket=bucket, key=key)
        except ValidationError:
            raise _refused(link, "is no s3://BUCKET/KEY with a bucket of 3 to 63 letters, digits, . or -") from None
    raise _refused(link, f"is of the kind {scheme[1].lower()}: which is not read; give https, s3 or a path")


def clean_link(text: str) -> str:
    """A link without the blanks, quotes, brackets, invisible characters and HTML entities of its cell."""
    link = text.translate(INVISIBLE).strip()
    for _ in range(3):
        if len(link) > 1 and WRAPPERS.get(link[0]) == link[-1]:
            link = link[1:-1].strip()
    return ENTITY.sub("&", link)


def absolute_url(link: str) -> str | None:
    """An http or https URL in ASCII, with blanks and other letters encoded; None if the link is no such URL.

    `//host/...` and `www.host/...` become https. Raises Rejected for a URL without a valid host.
    """
    if link.startswith("//") or link[:4].lower() == "www.":
        link = "https://" + link.lstrip("/")
    found = HTTP.fullmatch(link)
    if found is None:
        return None
    rest = re.sub(r"[\t\r\n]", "", found[2]).replace("\\/", "/").replace("\\", "/")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    try:
        path = quote(STRAY_PERCENT.sub("%25", tail), safe=URL_CHARACTERS)
        return f"{found[1].lower()}://{_ascii_host(authority)}{path}"
    except UnicodeError:
        raise _refused(link, "is no URL: its host or a character of its path is not valid") from None


def path_candidates(path: str) -> Iterator[str]:
    """The possible meanings of a path, in order: as it is, below the folder, decoded, without a query."""
    plain = path.replace("\\", "/")
    below = plain.lstrip("/")
    decoded = unquote(below, errors="strict") if "%" in below and _is_encoded(below) else below
    yield from dict.fromkeys([plain, below, path, decoded, *(each.partition("?")[0] for each in (below, decoded))])


def _is_encoded(path: str) -> bool:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _ascii_host(authority: str) -> str:
    host = authority if authority.isascii() else authority.encode("idna").decode()
    if not re.fullmatch(r"(?:[^\s@/]*@)?(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?", host):
        raise UnicodeError(authority)
    return host


def _url_image(url: str) -> UrlImage:
    if len(url) > LONGEST_URL:
        raise _refused(url, f"has {len(url)} characters, a URL may have {LONGEST_URL}")
    return UrlImage(url=url)


def _data_image(link: str) -> InlineImage:
    """The picture in a `data:` URL, up to the size that an event holds."""
    head, comma, body = link[5:].partition(",")
    kind, *parameters = head.lower().split(";")
    if not comma or not re.fullmatch(r"(?:image/(?!svg).*|application/octet-stream)?", kind.strip()):
        raise _refused(link[:80], "is a data URL that holds no picture")
    if len(body) > 4 * MAX_INLINE_BYTES:
        raise Rejected(Code.IMAGE_TOO_LARGE, _too_large(link))
    if any(parameter.strip() == "base64" for parameter in parameters):
        letters = re.sub(r"\s|=", "", unquote(body)).replace("-", "+").replace("_", "/")
        try:
            data = base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise _refused(link[:80], "is a data URL whose base64 is broken") from None
    else:
        data = unquote_to_bytes(body)
    if not data:
        raise _refused(link[:80], "is a data URL that is empty")
    if len(data) > MAX_INLINE_BYTES:
        raise Rejected(Code.IMAGE_TOO_LARGE, _too_large(link))
    return InlineImage(data=data)


def _too_large(link: str) -> str:
    return f"`{link[:40]}…` is a data URL of more than {MAX_INLINE_BYTES:,} bytes: give a file or a URL"


def _refused(link: str, reason: str) -> Rejected:
    return Rejected(Code.SOURCE_REFUSED, f"{quoted(link, 200)} {reason}")
