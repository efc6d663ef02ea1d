"""Social posts: turn ActivityStreams 2.0 activities, posts and collections of them into item events."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from infra.futures import map_in_order
from producers.facts.cell_values import quoted
from producers.facts.fact_limits import validate_with_limits
from producers.facts.moments import read_moment
from producers.feed_item import FeedItem, FeedResult
from producers.feeds.json_values import read_objects
from producers.image_refs import Locate, image_reference, refuse_paths, threads_for
from producers.row_reader import BadRow, FeedRow, Json, JsonObject, SkippedRow, revisions
from producers.social.activity_streams import (
    as_list,
    object_of,
    plain_object,
    text_in,
    types_of,
)
from producers.social.post_facts import facts_of_post, id_of_post, pictures_of_post
from schemas.envelope import describe
from schemas.failures import Failure, Rejected
from schemas.items import MAX_IMAGES, ImageRef, ItemDeleted, ItemUpserted, revision_at

UPSERT_ACTIVITIES = {"Create", "Update", "Add"}
WRAPPERS = {"Announce"}
"""Activities that Lemmy's groups wrap around those of their members."""
ACTIVITIES = {*UPSERT_ACTIVITIES, *WRAPPERS, "Delete", "Undo", "Remove"}
POST_TYPES = {"Note", "Image", "Article", "Page", "Question"}
ACTOR_TYPES = {"Person", "Group", "Service", "Application", "Organization"}
COLLECTION_TYPES = {"Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage"}
MAX_NESTED = 4
"""Collections in collections, and activities in activities, that are read."""
MOST_LINKS = 100
"""Most pictures of a post that are tried, because some cannot be used."""


@dataclass(frozen=True)
class SocialFormat:
    """How to read posts: how to locate pictures, and the tenant of the items."""

    locate: Locate = refuse_paths
    tenant: str = "default"


def read_posts(path: Path, social_format: SocialFormat) -> Iterator[FeedResult]:
    """The posts of a file, in order: activities or posts, one a line, or a collection of them as an outbox is.

    Create and Update of a post with a picture become upserts; Delete, and an Update after which the post has no
    picture or is no post any more, deletions. Everything else becomes a SkippedRow, an unreadable entry a BadRow.
    The revision is the time of the last change (`updated`, else `published`), else the present time.
    """
    rows = (each for row in read_objects(path) for each in _members(row, 0))

    def post_of(numbered: tuple[FeedRow | BadRow, int]) -> FeedResult:
        row, now = numbered
        return row if isinstance(row, BadRow) else PostReader(row, social_format, now).read()

    yield from map_in_order(post_of, zip(rows, revisions(), strict=False), threads_for(social_format.locate))


def _members(row: FeedRow | BadRow, depth: int) -> Iterator[FeedRow | BadRow]:
    """The row, or the members of the collection that it is, each at the line of the collection."""
    if isinstance(row, BadRow):
        yield row
        return
    cells = plain_object(row.cells)
    members = [part for name in ("orderedItems", "items") for part in as_list(cells.get(name))]
    members += [cells["first"]] if isinstance(cells.get("first"), dict) else []
    is_collection = bool(types_of(cells) & COLLECTION_TYPES) or not types_of(cells)
    if depth < MAX_NESTED and is_collection and members:
        for part in members:
            yield from _members(FeedRow(row.line, object_of(part)), depth + 1)
    else:
        yield FeedRow(row.line, cells)


@dataclass
class PostReader:
    """Reads one activity or post; `now` is the revision if it says no time."""

    row: FeedRow
    social_format: SocialFormat
    now: int

    def read(self) -> FeedResult:
        """The event of the activity."""
        try:
            return self._read_activity(self.row.cells, 0)
        except ValidationError as error:
            return BadRow(self.row.line, describe(error))
        except (Failure, ValueError) as error:
            return BadRow(self.row.line, str(error))

    def _read_activity(self, activity: JsonObject, depth: int) -> FeedResult:
        types = types_of(activity)
        inner = object_of(activity.get("object"))
        if types & POST_TYPES:  # a post without an activity: a file of bare posts
            return self._upsert({}, activity, is_update=text_in(activity.get("updated")) is not None)
        if "Tombstone" in types:
            return self._deletion({}, activity)
        if depth < MAX_NESTED and types & WRAPPERS and types_of(inner) & ACTIVITIES:
            return self._read_activity(inner, depth + 1)
        if "Undo" in types and "Create" in types_of(inner):
            return self._deletion(activity, object_of(inner.get("object")))
        if types & UPSERT_ACTIVITIES and "Tombstone" in types_of(inner):
            return self._deletion(activity, inner)
        if "Delete" in types:
            return self._read_delete(activity, inner)
        if not types & UPSERT_ACTIVITIES:
            return self._skip(f"an activity of type {', '.join(sorted(types)) or 'none'}")
        if not types_of(inner):
            return self._skip(f"{'/'.join(sorted(types))} of an object that is only named by its id")
        is_update = "Update" in types or text_in(inner.get("updated")) is not None
        return self._upsert(activity, inner, is_update=is_update)

    def _read_delete(self, activity: JsonObject, post: JsonObject) -> FeedResult:
        actor = object_of(activity.get("actor")).get("id")
        if types_of(post) & ACTOR_TYPES or (actor is not None and actor == post.get("id")):
            return self._skip("Delete of an account: delete its items by their ids")
        return self._deletion(activity, post)

    def _deletion(self, activity: JsonObject, post: JsonObject) -> FeedItem:
        left_out: list[str] = []
        times = (activity.get("published"), post.get("deleted"), activity.get("updated"))
        return self._delete(post, self._revision(times, left_out), left_out)

    def _delete(self, post: JsonObject, revision: int, left_out: list[str]) -> FeedItem:
        event = ItemDeleted(
            tenant=self.social_format.tenant, item_id=id_of_post(post, left_out), source="social", revision=revision
        )
        return FeedItem(event, self.row.line, tuple(left_out))

    def _upsert(self, activity: JsonObject, post: JsonObject, *, is_update: bool) -> FeedResult:
        types, left_out = types_of(post), list[str]()
        created = () if "Update" in types_of(activity) else (post.get("published"),)  # it does not order changes
        times = (post.get("updated"), activity.get("updated"), *created, activity.get("published"))
        if types & ACTOR_TYPES:
            return self._skip("an account, which is no post")
        links = pictures_of_post(post)[:MOST_LINKS] if types & POST_TYPES else []
        if not links:
            if is_update:
                return self._delete(post, self._revision(times, left_out), left_out)
            kind = ", ".join(sorted(types)) or "none"
            return self._skip("a post without a picture" if types & POST_TYPES else f"a post of type {kind}")
        identity = {
            "tenant": self.social_format.tenant,
            "source": "social",
            "item_id": id_of_post(post, left_out),
            "revision": self._revision(times, left_out),
            "images": self._images(links, left_out),
        }
        facts = facts_of_post(activity, post, links, left_out)
        event = validate_with_limits(
            lambda fit: ItemUpserted.model_validate({**fit, **identity}), facts, {}, left_out
        )
        return FeedItem(event, self.row.line, tuple(left_out))

    def _images(self, links: list[str], left_out: list[str]) -> tuple[ImageRef, ...]:
        """The pictures of a post; raises the reason against the first one if none can be used."""
        images: list[ImageRef] = []
        refusals: list[str] = []
        for number, link in enumerate(links):
            if len(images) == MAX_IMAGES:
                left_out.append(
                    f"attachment: {len(links) - number} pictures are left out: an item has {MAX_IMAGES}"
                )
                break
            try:
                images.append(image_reference(link, self.social_format.locate))
            except Rejected as rejection:
                refusals.append(rejection.message)
            except ValidationError as error:
                refusals.append(f"{quoted(link)} is no picture: {describe(error)}")
        if not images:
            raise ValueError(f"attachment: {refusals[0]}")
        left_out += [f"attachment: a picture is left out: {reason}" for reason in refusals]
        return tuple(images)

    def _revision(self, times: tuple[Json, ...], left_out: list[str]) -> int:
        """The revision for the first of `times` that is present; the present time if it cannot be read."""
        text = next((found for found in map(text_in, times) if found), None)
        if text is None:
            return self.now
        try:
            return max(revision_at(read_moment(text)), 1)
        except ValueError as error:
            left_out.append(f"updated: {quoted(text)} is not used, the present time is the revision: {error}")
            return self.now

    def _skip(self, message: str) -> SkippedRow:
        return SkippedRow(self.row.line, message)
