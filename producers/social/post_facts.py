"""Post facts: the facts, pictures and id of a social post."""

import hashlib

from producers.facts.cell_values import quoted
from producers.facts.moments import read_moment
from producers.row_reader import Json, JsonObject
from producers.social.activity_streams import (
    as_list,
    natural_text,
    object_of,
    page_url,
    picture_of,
    plain_text,
    text_in,
    types_of,
)

MAX_TITLE, MAX_TAGS, MAX_ID = 300, 50, 200


def facts_of_post(
    activity: JsonObject, post: JsonObject, links: list[str], left_out: list[str]
) -> dict[str, object]:
    """The facts of a post besides its pictures, without those that it does not have."""
    created_at = None
    published = text_in(post.get("published")) or text_in(activity.get("published"))
    try:
        created_at = None if published is None else read_moment(published)
    except ValueError as error:
        left_out.append(f"published: {quoted(published)} is left out: {error}")
    tags = _hashtags(post)
    if len(tags) > MAX_TAGS:
        left_out.append(f"tag: of {len(tags)} the first {MAX_TAGS} are used")
    facts = {
        "title": _title(post),
        "creator": _actor(post.get("attributedTo")) or _actor(activity.get("actor")),
        "created_at": created_at,
        "url": page_url(post.get("url"), links),
        "tags": tags[:MAX_TAGS],
        "moderation": ("sensitive",) if _is_sensitive(post) else (),
    }
    return {name: value for name, value in facts.items() if value}


def _is_sensitive(post: JsonObject) -> bool:
    """Whether a post or one of its attachments has a warning; a value that is neither true nor false is one."""
    attachments = [each for name in ("attachment", "attachments") for each in as_list(post.get(name))]
    values = [post.get("sensitive"), *(each.get("sensitive") for each in attachments if isinstance(each, dict))]
    return any(value not in (None, False, "", "false", "False", "0", []) for value in values)


def pictures_of_post(post: JsonObject) -> list[str]:
    """The URLs or paths of a post's pictures: its own if it is an Image itself, and its attachments."""
    found: list[str | None] = []
    if "Image" in types_of(post):
        own = {name: post.get(name) for name in ("url", "href", "mediaType")}
        found.append(picture_of(own, is_image=True))
    for name in ("attachment", "attachments"):
        found += [picture_of(each) for each in as_list(post.get(name))]
    found += [picture_of(each, is_image=True) for each in as_list(post.get("image"))]
    return list(dict.fromkeys(link for link in found if link))


def id_of_post(post: JsonObject, left_out: list[str]) -> str:
    """The id of a post; in place of a longer one than an item may have its beginning and its SHA-256."""
    found = text_in(post.get("id"))
    if found is None:
        raise ValueError("the post has no `id`: without it, changes cannot be distinguished from new posts")
    if len(found) <= MAX_ID:
        return found
    item_id = f"{found[:128]}#{hashlib.sha256(found.encode(errors='surrogatepass')).hexdigest()}"
    left_out.append(
        f"id: {len(found)} characters are more than {MAX_ID}: the id of the item is {quoted(item_id, 200)}"
    )
    return item_id


def _actor(value: Json) -> str | None:
    """Name of an actor: a text as it is; of an object its preferred username, else its name, else its id."""
    person = object_of(value)
    return natural_text(person, "preferredUsername") or natural_text(person, "name") or text_in(person.get("id"))


def _hashtags(post: JsonObject) -> tuple[str, ...]:
    """The hashtags of a post without #; mentions, emoji and other tags are ignored."""
    tags = [object_of(value) for value in as_list(post.get("tag"))]
    names = [text_in(tag.get("name")) or text_in(tag.get("id")) for tag in tags if types_of(tag) <= {"Hashtag"}]
    plain = [name.lstrip("#") for name in names if name and not name.startswith("http")]
    return tuple(dict.fromkeys(name for name in plain if name))


def _title(post: JsonObject) -> str | None:
    """The post's name, else its text, else its summary (a warning), shortened to MAX_TITLE characters."""
    text = natural_text(post, "name") or plain_text(natural_text(post, "content") or "")
    text = text or plain_text(natural_text(post, "summary") or "")
    if len(text) <= MAX_TITLE:
        return text or None
    return text[: MAX_TITLE - 1].rsplit(" ", 1)[0].rstrip() + "…"
