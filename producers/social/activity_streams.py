"""ActivityStreams: read the objects of social servers, whose properties are texts, links, objects or lists.

Sources: https://www.w3.org/TR/activitystreams-core/ and -vocabulary/; the JSON-LD forms of the same (prefix `as:`,
full names, `@id`, `@type`, `@value`); the posts of Mastodon, Pixelfed, PeerTube, Lemmy and Misskey.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from producers.row_reader import Json, JsonObject

NAMESPACE = re.compile(r"(?:as:|https?://www\.w3\.org/ns/activitystreams#)")
KEYWORDS = {"@id": "id", "@type": "type", "@graph": "items"}
MAX_DEPTH = 32
"""Nesting of objects that is read; Create of a Note with links needs five."""
PICTURE_SUFFIX = re.compile(
    r"\.(?:jpe?g|jpe|jfif|jfi|a?png|webp|gif|hei[cf]|avif|tiff?|bmp|jxl)(?:[?#].*)?$", re.I | re.S
)
OTHER_SUFFIX = re.compile(
    r"\.(?:html?|php|aspx?|mp4|m4v|webm|mov|mkv|m3u8|ogv|mp3|ogg|oga|wav|flac|m4a|pdf|zip|txt|json|svg)(?:[?#].*)?$",
    re.I | re.S,
)
LONGEST_HTML = 20_000
"""Characters of a post that are read for its title; the parser of broken HTML needs quadratic time."""
LANGUAGES = ("en", "und", "")
"""Languages of a `contentMap` that are preferred, in order; else the first is taken."""


def plain_object(value: JsonObject) -> JsonObject:
    """An object with the names of ActivityStreams; JSON-LD's other spellings are replaced."""
    found = _plain(value, 0) if _is_expanded(value) else value
    return found if isinstance(found, dict) else {}


def types_of(value: JsonObject) -> set[str]:
    """The types of an object."""
    found = value.get("type")
    if isinstance(found, str) and ":" not in found:
        return {found}
    return {NAMESPACE.sub("", kind) for kind in as_list(found) if isinstance(kind, str)}


def object_of(value: Json) -> JsonObject:
    """An object, or the first one of a list; a text becomes an object with that id, anything else an empty one."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return {"id": value}
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """A value as a list; empty for null."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def text_in(value: Json) -> str | None:
    """A text that is not blank; of a list the first one."""
    if isinstance(value, str):
        return value.strip() or None
    for part in as_list(value):
        if isinstance(part, str) and part.strip():
            return part.strip()
    return None


def natural_text(value: JsonObject, name: str) -> str | None:
    """A property in natural language: `content`, else one of the languages of `contentMap`."""
    text = text_in(value.get(name))
    if text is not None:
        return text
    languages = value.get(f"{name}Map")
    if not isinstance(languages, dict):
        return None
    preferred = [languages.get(language) for language in LANGUAGES]
    return next((found for each in [*preferred, *languages.values()] if (found := text_in(each))), None)


def page_url(value: Json, pictures: list[str]) -> str | None:
    """The URL of a web page among the `url` of an object: an HTML link, else the first that is no picture."""
    links = list(_links(value, 0))
    html = (url for url, link in links if _media_type(link) in ("text/html", "application/xhtml+xml"))
    others = (url for url, link in links if not _media_type(link) and url not in pictures)
    urls = [*html, *others, *(url for url, _ in links)]
    return next((url for url in urls if url.lower().startswith(("http://", "https://"))), None)


def picture_of(attachment: Json, *, is_image: bool = False) -> str | None:
    """The URL or path of an attachment if it is a picture, in its largest size; None for anything else.

    An HTML link is never a picture. Without a media type, the type Image or the suffix of the URL decides.
    """
    if isinstance(attachment, str):
        return attachment if is_image or PICTURE_SUFFIX.search(attachment) else None
    if not isinstance(attachment, dict):
        return None
    kinds = types_of(attachment)
    if kinds & {"Video", "Audio", "Article", "Note", "Page", "PropertyValue", "Hashtag", "Mention"}:
        return None
    own = _media_type(attachment)
    is_image = is_image or "Image" in kinds
    best: tuple[int, str] | None = None
    for url, link in _links(attachment, 0):
        media = _media_type(link) or own
        if _is_picture(url, media, is_image=is_image, is_document="Document" in kinds):
            size = _size(link)
            if best is None or size > best[0]:
                best = (size, url)
    return best[1] if best else None


def plain_text(html: str) -> str:
    """The text of an HTML document on one line, without scripts and styles; of a long one its beginning."""
    if "<" not in html and "&" not in html:
        return " ".join(html[:LONGEST_HTML].split())
    reader = _TextExtractor()
    reader.feed(html[:LONGEST_HTML])
    reader.close()
    return " ".join("".join(reader.words).split())


class _TextExtractor(HTMLParser):
    """Collects the text between tags, outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Separate words at blocks and line breaks."""
        self._hidden_depth += tag in ("script", "style")
        if tag in ("p", "br", "div", "li"):
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        self._hidden_depth = max(0, self._hidden_depth - (tag in ("script", "style")))

    def handle_data(self, data: str) -> None:
        """Collect visible text."""
        if not self._hidden_depth:
            self.words.append(data)


def _is_picture(url: str, media: str, *, is_image: bool, is_document: bool) -> bool:
    if media.startswith("image/"):
        return not media.startswith("image/svg")
    if media and media != "application/octet-stream":
        return False
    if PICTURE_SUFFIX.search(url):
        return True
    return (is_image or is_document) and not OTHER_SUFFIX.search(url)


def _links(value: Json, depth: int) -> Iterator[tuple[str, JsonObject]]:
    """The URLs in a text, a Link (`href`), an object (`url`, or just an `id`), or a list, with their objects."""
    for part in as_list(value):
        if isinstance(part, str) and part.strip():
            yield part.strip(), {}
        elif isinstance(part, dict) and depth < MAX_DEPTH:
            href = text_in(part.get("href")) or (text_in(part.get("id")) if part.keys() == {"id"} else None)
            if href is not None:
                yield href, part
            else:
                for url, link in _links(part.get("url"), depth + 1):
                    yield url, link or part


def _media_type(value: JsonObject) -> str:
    """The media type in lower case, without parameters; empty if there is none."""
    return (text_in(value.get("mediaType")) or "").partition(";")[0].strip().lower()


def _size(link: JsonObject) -> int:
    """Width times height of a link in pixels; 0 if unknown. Numbers of JSON are texts here."""
    sides = [text_in(link.get(name)) or "" for name in ("width", "height")]
    width, height = (int(side) if side.isascii() and side.isdecimal() and len(side) < 6 else 0 for side in sides)
    return max(width, 1) * max(height, 1) if width or height else 0


def _is_expanded(value: JsonObject) -> bool:
    return any(name.startswith(("@", "as:", "http")) and name != "@context" for name in value)


def _plain(value: Json, depth: int) -> Json:
    if isinstance(value, list):
        parts = [_plain(part, depth + 1) for part in value if depth < MAX_DEPTH]
        return parts[0] if len(parts) == 1 else parts
    if not isinstance(value, dict) or depth >= MAX_DEPTH:
        return value if isinstance(value, str | bool) else None
    if "@value" in value:
        return _plain(value["@value"], depth + 1)
    if "@list" in value:
        return _plain(value["@list"], depth + 1)
    return {
        KEYWORDS.get(name) or NAMESPACE.sub("", name): _plain(inner, depth + 1)
        for name, inner in value.items()
        if name != "@context"
    }
