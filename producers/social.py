"""Social posts: activities of ActivityStreams 2.0, one a line, become item events.

Source: https://www.w3.org/TR/activitystreams-vocabulary/.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from pydantic import ValidationError

from producers.image_refs import Locate, nowhere, reference
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow, moment, read_objects, revisions
from schemas.envelope import describe
from schemas.failures import Failure
from schemas.items import MAX_IMAGES, ItemDeleted, ItemUpserted, revision_at

Post = ItemUpserted | ItemDeleted | BadRow | SkippedRow
Object = Mapping[str, Json]

SAYS = {"Create", "Update"}
POSTS = {"Note", "Image"}
PICTURES = {"Image", "Document"}
TITLE_LETTERS = 300


@dataclass(frozen=True)
class SocialFormat:
    """How posts are read: where paths lead, and whose items they are."""

    locate: Locate = nowhere
    tenant: str = "default"


def read_social(path: Path, reading: SocialFormat) -> Iterator[Post]:
    """The posts of a JSONL file, in order: Create or Update of a Note or Image, and Delete.

    Activities of other kinds and posts without a picture are Skipped; what cannot be read is a BadRow. The
    revision is the time of the last change (`updated`, else `published`), else the time now.
    """
    clock = revisions()
    for row in read_objects(path):
        yield row if isinstance(row, BadRow) else _read_activity(row, reading, next(clock))


def _read_activity(row: FeedRow, reading: SocialFormat, now: int) -> Post:
    kinds = _kinds(row.cells)
    try:
        if "Delete" in kinds:
            return _deleted(row.cells, reading, now)
        if not kinds & SAYS:
            return SkippedRow(row.line, f"an activity of type {', '.join(sorted(kinds)) or 'none'}")
        return _said(row, reading, now)
    except ValidationError as error:
        return BadRow(row.line, describe(error))
    except (Failure, ValueError) as error:
        return BadRow(row.line, str(error))


def _deleted(activity: Object, reading: SocialFormat, now: int) -> ItemDeleted:
    gone = _object(activity.get("object"))
    revision = _revision(now, activity.get("published"), gone.get("deleted"), activity.get("updated"))
    return ItemDeleted(tenant=reading.tenant, item_id=_identity(gone), source="social", revision=revision)


def _said(row: FeedRow, reading: SocialFormat, now: int) -> Post:
    activity, post = row.cells, _object(row.cells.get("object"))
    if not _kinds(post) & POSTS:
        return SkippedRow(row.line, f"a post of type {', '.join(sorted(_kinds(post))) or 'none'}")
    places = _pictures(post)
    if not places:
        return SkippedRow(row.line, "a post without a picture")
    published = _text(post.get("published")) or _text(activity.get("published"))
    facts = {
        "title": _title(post),
        "creator": _actor(post.get("attributedTo")) or _actor(activity.get("actor")),
        "created_at": moment(published) if published else None,
        "url": next((place for place in _addresses(post.get("url")) if place.startswith("http")), None),
        "tags": _hashtags(post),
        "moderation": ("sensitive",) if post.get("sensitive") is True else (),
    }
    return ItemUpserted.model_validate(
        {
            **{name: value for name, value in facts.items() if value},
            "tenant": reading.tenant,
            "source": "social",
            "item_id": _identity(post),
            "revision": _revision(now, post.get("updated"), activity.get("updated"), published),
            "images": tuple(reference(place, reading.locate) for place in places[:MAX_IMAGES]),
        }
    )


def _pictures(post: Object) -> list[str]:
    """Where a post's pictures are: its attachments, and its own address when it is an Image itself."""
    found = [_object(value) for name in ("attachment", "attachments", "image") for value in _listed(post.get(name))]
    places = [place for picture in found if _is_picture(picture) for place in _addresses(picture)[:1]]
    own = _addresses(post.get("url"), "image/")[:1] if "Image" in _kinds(post) else []
    return list(dict.fromkeys([*own, *places]))


def _is_picture(attachment: Object) -> bool:
    kind = _text(attachment.get("mediaType"))
    return bool(_kinds(attachment) & PICTURES) and (kind is None or kind.startswith("image/"))


def _addresses(value: Json, kind: str = "") -> list[str]:
    """The addresses in a text, a Link (`href`), an object (`url`), or a list of them.

    Links whose mediaType does not start with `kind` are left out.
    """
    found: list[str] = []
    for part in _listed(value):
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict) and (_text(part.get("mediaType")) or kind).startswith(kind):
            found.extend([part["href"]] if isinstance(part.get("href"), str) else _addresses(part.get("url"), kind))
    return found


def _identity(value: Object) -> str:
    found = _text(value.get("id"))
    if found is None:
        raise ValueError("the post has no `id`: later changes could not be told from new posts")
    return found


def _actor(value: Json) -> str | None:
    """Who it is: a text as it stands, of an object the name that people use, else its id."""
    for part in _listed(value)[:1]:
        person = _object(part)
        return _text(person.get("preferredUsername")) or _text(person.get("name")) or _text(person.get("id"))
    return None


def _hashtags(post: Object) -> tuple[str, ...]:
    """The words of a post's hashtags, without #; mentions and the like are no tags."""
    tags = [_object(value) for value in _listed(post.get("tag"))]
    names = [_text(tag.get("name")) or _text(tag.get("id")) for tag in tags if _kinds(tag) <= {"Hashtag"}]
    return tuple(dict.fromkeys(name.lstrip("#") for name in names if name and name.lstrip("#")))[:50]


def _title(post: Object) -> str | None:
    """The post's name, else the start of its text."""
    text = _text(post.get("name")) or plain_text(_text(post.get("content")) or "")
    if len(text) <= TITLE_LETTERS:
        return text or None
    return text[: TITLE_LETTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"


def plain_text(html: str) -> str:
    """The words of an HTML text on one line; scripts and styles are left out."""
    reader = _TextExtractor()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.words).split())


class _TextExtractor(HTMLParser):
    """Gathers the text between tags; a parser of the standard library is used by deriving from it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Blocks and breaks part words."""
        self._silent += tag in ("script", "style")
        if tag in ("p", "br", "div", "li"):
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """The end of what is not shown."""
        self._silent = max(0, self._silent - (tag in ("script", "style")))

    def handle_data(self, data: str) -> None:
        """Text between two tags."""
        if not self._silent:
            self.words.append(data)


def _revision(now: int, *times: Json) -> int:
    """The revision of the first time that is given."""
    found = next((text for text in map(_text, times) if text), None)
    return now if found is None else revision_at(moment(found))


def _kinds(value: Object) -> set[str]:
    return {kind for kind in _listed(value.get("type")) if isinstance(kind, str)}


def _object(value: Json) -> Object:
    """An object as it is; a text stands for the object with that id."""
    if isinstance(value, str):
        return {"id": value}
    return value if isinstance(value, dict) else {}


def _listed(value: Json) -> list[Json]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Json) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
