"""Social posts: turn ActivityStreams 2.0 activities, one per line, into item events.

Source: https://www.w3.org/TR/activitystreams-vocabulary/.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from pydantic import ValidationError

from producers.feeds.json_values import read_objects
from producers.image_refs import Locate, image_reference, refuse_paths
from producers.row_reader import BadRow, FeedRow, Json, JsonObject, SkippedRow, parse_time, revisions
from schemas.envelope import describe
from schemas.failures import Failure
from schemas.items import MAX_IMAGES, ItemDeleted, ItemUpserted, revision_at

Post = ItemUpserted | ItemDeleted | BadRow | SkippedRow

UPSERT_ACTIVITIES = {"Create", "Update"}
POST_TYPES = {"Note", "Image"}
PICTURE_TYPES = {"Image", "Document"}
MAX_TITLE = 300


@dataclass(frozen=True)
class SocialFormat:
    """How to read posts: how to locate pictures, and the tenant of the items."""

    locate: Locate = refuse_paths
    tenant: str = "default"


def read_social(path: Path, social_format: SocialFormat) -> Iterator[Post]:
    """The posts of a JSONL file, in order: Create or Update of a Note or Image, and Delete.

    Other activities and posts without a picture become a SkippedRow, unreadable ones a BadRow. The revision is the
    time of the last change (`updated`, else `published`), else the present time.
    """
    clock = revisions()
    for row in read_objects(path):
        yield row if isinstance(row, BadRow) else _read_activity(row, social_format, next(clock))


def _read_activity(row: FeedRow, social_format: SocialFormat, now: int) -> Post:
    types = _types(row.cells)
    try:
        if "Delete" in types:
            return _deletion(row.cells, social_format, now)
        if not types & UPSERT_ACTIVITIES:
            return SkippedRow(row.line, f"an activity of type {', '.join(sorted(types)) or 'none'}")
        return _upsert(row, social_format, now)
    except ValidationError as error:
        return BadRow(row.line, describe(error))
    except (Failure, ValueError) as error:
        return BadRow(row.line, str(error))


def _deletion(activity: JsonObject, social_format: SocialFormat, now: int) -> ItemDeleted:
    post = _object(activity.get("object"))
    revision = _revision(now, activity.get("published"), post.get("deleted"), activity.get("updated"))
    return ItemDeleted(tenant=social_format.tenant, item_id=_identity(post), source="social", revision=revision)


def _upsert(row: FeedRow, social_format: SocialFormat, now: int) -> Post:
    activity, post = row.cells, _object(row.cells.get("object"))
    if not _types(post) & POST_TYPES:
        return SkippedRow(row.line, f"a post of type {', '.join(sorted(_types(post))) or 'none'}")
    urls = _pictures(post)
    if not urls:
        return SkippedRow(row.line, "a post without a picture")
    published = _text(post.get("published")) or _text(activity.get("published"))
    facts = {
        "title": _title(post),
        "creator": _actor(post.get("attributedTo")) or _actor(activity.get("actor")),
        "created_at": parse_time(published) if published else None,
        "url": next((url for url in _urls(post.get("url")) if url.startswith("http")), None),
        "tags": _hashtags(post),
        "moderation": ("sensitive",) if post.get("sensitive") is True else (),
    }
    return ItemUpserted.model_validate(
        {
            **{name: value for name, value in facts.items() if value},
            "tenant": social_format.tenant,
            "source": "social",
            "item_id": _identity(post),
            "revision": _revision(now, post.get("updated"), activity.get("updated"), published),
            "images": tuple(image_reference(url, social_format.locate) for url in urls[:MAX_IMAGES]),
        }
    )


def _pictures(post: JsonObject) -> list[str]:
    """The URLs or paths of a post's pictures: its attachments, and its own URL if it is an Image itself."""
    found = [
        _object(value) for name in ("attachment", "attachments", "image") for value in _as_list(post.get(name))
    ]
    urls = [url for picture in found if _is_picture(picture) for url in _urls(picture)[:1]]
    own = _urls(post.get("url"), "image/")[:1] if "Image" in _types(post) else []
    return list(dict.fromkeys([*own, *urls]))


def _is_picture(attachment: JsonObject) -> bool:
    kind = _text(attachment.get("mediaType"))
    return bool(_types(attachment) & PICTURE_TYPES) and (kind is None or kind.startswith("image/"))


def _urls(value: Json, kind: str = "") -> list[str]:
    """The URLs in a text, a Link (`href`), an object (`url`), or a list of them.

    Links whose mediaType does not start with `kind` are omitted.
    """
    found: list[str] = []
    for part in _as_list(value):
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict) and (_text(part.get("mediaType")) or kind).startswith(kind):
            found.extend([part["href"]] if isinstance(part.get("href"), str) else _urls(part.get("url"), kind))
    return found


def _identity(value: JsonObject) -> str:
    found = _text(value.get("id"))
    if found is None:
        raise ValueError("the post has no `id`: without it, changes cannot be distinguished from new posts")
    return found


def _actor(value: Json) -> str | None:
    """Name of an actor: a text as it is; of an object its preferred username, else its name, else its id."""
    for part in _as_list(value)[:1]:
        person = _object(part)
        return _text(person.get("preferredUsername")) or _text(person.get("name")) or _text(person.get("id"))
    return None


def _hashtags(post: JsonObject) -> tuple[str, ...]:
    """The hashtags of a post without #, at most 50; mentions and other tags are ignored."""
    tags = [_object(value) for value in _as_list(post.get("tag"))]
    names = [_text(tag.get("name")) or _text(tag.get("id")) for tag in tags if _types(tag) <= {"Hashtag"}]
    return tuple(dict.fromkeys(name.lstrip("#") for name in names if name and name.lstrip("#")))[:50]


def _title(post: JsonObject) -> str | None:
    """The post's name, else its text, shortened to MAX_TITLE characters."""
    text = _text(post.get("name")) or plain_text(_text(post.get("content")) or "")
    if len(text) <= MAX_TITLE:
        return text or None
    return text[: MAX_TITLE - 1].rsplit(" ", 1)[0].rstrip() + "…"


def plain_text(html: str) -> str:
    """The text of an HTML document on one line, without scripts and styles."""
    reader = _TextExtractor()
    reader.feed(html)
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


def _revision(now: int, *times: Json) -> int:
    """The revision for the first of `times` that is present, else `now`."""
    found = next((text for text in map(_text, times) if text), None)
    return now if found is None else revision_at(parse_time(found))


def _types(value: JsonObject) -> set[str]:
    return {kind for kind in _as_list(value.get("type")) if isinstance(kind, str)}


def _object(value: Json) -> JsonObject:
    """An object; a text becomes an object with that id, anything else an empty one."""
    if isinstance(value, str):
        return {"id": value}
    return value if isinstance(value, dict) else {}


def _as_list(value: Json) -> list[Json]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Json) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
