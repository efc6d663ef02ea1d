"""Social posts: activities become item events."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.feed_item import FeedItem
from producers.image_packer import ImagePacker
from producers.image_refs import FolderImages
from producers.row_reader import BadRow, SkippedRow
from producers.social.activity_streams import plain_text
from producers.social.posts import SocialFormat, read_posts
from schemas.items import InlineImage, ItemDeleted, ItemUpserted, UrlImage, revision_at
from tests.producers.feed_events import EventResult, events_of

PUBLISHED, LATER = "2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"
SAMPLES = Path(__file__).parents[1] / "samples"
PICTURE = {"type": "Image", "mediaType": "image/jpeg", "url": "https://s.test/a.jpg"}


def note(**changes: object) -> dict[str, object]:
    return {"type": "Note", "id": "https://s.test/1", "attachment": [PICTURE], "published": PUBLISHED} | changes


def create(post: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {"type": "Create", "actor": "https://s.test/ann", "object": post} | changes


def read(folder: Path, *activities: object, reading: SocialFormat | None = None) -> list[EventResult]:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(activity) + "\n" for activity in activities))
    return list(events_of(read_posts(path, reading or SocialFormat())))


def post_of(folder: Path, activity: object) -> ItemUpserted:
    [found] = read(folder, activity)
    assert isinstance(found, ItemUpserted), found
    return found


def test_a_note_with_a_picture_becomes_an_item(tmp_path: Path) -> None:
    tags = [
        {"type": "Hashtag", "name": "#Summer"},
        {"type": "Mention", "name": "@bob"},
        {"type": "Hashtag", "name": "sea"},
    ]
    content = "<p>Hello<br>you &amp; <b>me</b></p><script>x()</script>"
    found = post_of(tmp_path, create(note(content=content, tag=tags, url="https://s.test/@ann/1")))
    assert (found.source, found.item_id, found.creator) == ("social", "https://s.test/1", "https://s.test/ann")
    assert (found.title, found.tags, found.url) == ("Hello you & me", ("Summer", "sea"), "https://s.test/@ann/1")
    assert found.created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found.revision == revision_at(datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert found.images == (UrlImage(url="https://s.test/a.jpg"),)


@pytest.mark.parametrize(
    "attachment",
    [
        {"type": "Document", "mediaType": "image/png", "url": "https://s.test/a.jpg"},
        {"type": "Image", "href": "https://s.test/a.jpg"},
        {"type": "Image", "url": {"type": "Link", "href": "https://s.test/a.jpg", "mediaType": "image/png"}},
        {
            "type": "Image",
            "url": [{"type": "Link", "href": "https://s.test/a.jpg"}, {"type": "Link", "href": "https://s.test/b"}],
        },
        [{"type": "Document", "mediaType": "video/mp4", "url": "https://s.test/v.mp4"}, PICTURE],
    ],
)
def test_every_way_to_attach_a_picture_is_read(tmp_path: Path, attachment: object) -> None:
    assert post_of(tmp_path, create(note(attachment=attachment))).images == (UrlImage(url="https://s.test/a.jpg"),)


def test_attachments_in_the_plural_are_read_too(tmp_path: Path) -> None:
    post = note(attachments=[PICTURE])
    del post["attachment"]
    assert len(post_of(tmp_path, create(post)).images) == 1


def test_an_image_is_its_own_picture(tmp_path: Path) -> None:
    links = [
        {"type": "Link", "href": "https://s.test/p", "mediaType": "text/html"},
        {"type": "Link", "href": "https://s.test/p.jpg", "mediaType": "image/jpeg"},
    ]
    found = post_of(tmp_path, create({"type": "Image", "id": "9", "url": links, "name": "A boat"}))
    assert found.images == (UrlImage(url="https://s.test/p.jpg"),)
    assert (found.title, found.url) == ("A boat", "https://s.test/p")


@pytest.mark.parametrize(
    ("author", "name"),
    [
        ("https://s.test/bob", "https://s.test/bob"),
        ({"type": "Person", "preferredUsername": "bob", "name": "Bob B.", "id": "x"}, "bob"),
        ([{"type": "Person", "id": "https://s.test/bob"}], "https://s.test/bob"),
        (None, "https://s.test/ann"),
    ],
)
def test_the_author_is_the_creator_else_the_actor(tmp_path: Path, author: object, name: str) -> None:
    assert post_of(tmp_path, create(note(attributedTo=author))).creator == name


def test_a_later_change_has_a_higher_revision(tmp_path: Path) -> None:
    changed = create(note(updated="2026-02-01T00:00:00Z"), type="Update")
    first, second = read(tmp_path, create(note()), changed)
    assert isinstance(first, ItemUpserted)
    assert isinstance(second, ItemUpserted)
    assert second.revision > first.revision
    assert second.created_at == first.created_at


@pytest.mark.parametrize("gone", ["https://s.test/1", {"type": "Tombstone", "id": "https://s.test/1"}])
def test_a_delete_takes_the_post_away(tmp_path: Path, gone: object) -> None:
    [found] = read(tmp_path, {"type": "Delete", "object": gone, "published": PUBLISHED})
    assert isinstance(found, ItemDeleted)
    assert (found.item_id, found.source) == ("https://s.test/1", "social")
    assert found.revision == revision_at(datetime(2026, 1, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    "activity",
    [
        {"type": "Like", "object": "x"},
        create(note(attachment=[])),
        create({"type": "Article", "id": "https://s.test/1"}),
        create(note(type="Video")),
        note(attachment=[]),
        {"type": "Announce", "object": "https://s.test/1"},
        {"type": "Remove", "object": "https://s.test/1", "target": "https://s.test/featured"},
        {"type": "Undo", "object": {"type": "Like", "object": "https://s.test/1"}},
        {"type": "Update", "object": {"type": "Person", "id": "https://s.test/ann"}},
        {"type": "Update", "object": "https://s.test/1"},
        {"type": "Delete", "actor": "https://s.test/ann", "object": "https://s.test/ann"},
        {},
    ],
)
def test_what_is_no_post_with_a_picture_is_skipped(tmp_path: Path, activity: object) -> None:
    [found] = read(tmp_path, activity)
    assert isinstance(found, SkippedRow)


@pytest.mark.parametrize(
    ("post", "part"),
    [
        (note(id=None), "no `id`"),
        (note(id="a\nb"), "`item_id`"),
        (note(attachment={"type": "Image", "url": "a.jpg"}), "--image-root"),
    ],
)
def test_a_bad_post_is_one_sentence_with_its_line(tmp_path: Path, post: dict[str, object], part: str) -> None:
    _, found = read(tmp_path, create(note()), create(post))
    assert isinstance(found, BadRow)
    assert found.line == 2
    assert part in found.message


@pytest.mark.parametrize(
    "update",
    [
        create(note(attachment=[], updated=LATER), type="Update"),
        create(note(attachment=[]), type="Update", published=LATER),
        create(note(attachment=[], updated=LATER)),
        create(note(type="Video", updated=LATER), type="Update"),
        create({"type": "Tombstone", "id": "https://s.test/1"}, type="Update", updated=LATER),
        create({"type": "Tombstone", "id": "https://s.test/1", "deleted": LATER}, type="Update"),
        note(attachment=[], updated=LATER),
        create(note(attachment=[{"type": "Link", "href": "https://s.test/p"}], updated=LATER), type="Update"),
        {"type": "Undo", "object": create(note()), "published": LATER},
        {"type": "Announce", "object": {"type": "Delete", "object": "https://s.test/1", "published": LATER}},
        {"type": "Tombstone", "id": "https://s.test/1", "deleted": LATER},
    ],
)
def test_a_post_that_loses_its_picture_is_deleted_at_its_revision(tmp_path: Path, update: object) -> None:
    created, deleted = read(tmp_path, create(note()), update)
    assert isinstance(created, ItemUpserted)
    assert isinstance(deleted, ItemDeleted)
    assert deleted.item_id == created.item_id
    assert deleted.revision == revision_at(datetime(2026, 2, 1, tzinfo=UTC)) > created.revision


def test_an_update_without_a_time_is_newer_than_the_post(tmp_path: Path) -> None:
    created, deleted = read(tmp_path, create(note()), create(note(attachment=[]), type="Update"))
    assert isinstance(created, ItemUpserted)
    assert isinstance(deleted, ItemDeleted)
    assert deleted.revision > created.revision


@pytest.mark.parametrize(
    ("attachment", "url"),
    [
        (
            {"type": "Document", "mediaType": "IMAGE/JPEG; charset=binary", "url": "https://s.test/a"},
            "https://s.test/a",
        ),
        ({"type": "Link", "mediaType": "image/webp", "href": "https://s.test/a"}, "https://s.test/a"),
        ({"type": "Document", "url": "https://s.test/a.png"}, "https://s.test/a.png"),
        ({"url": "https://s.test/a.png?x=1"}, "https://s.test/a.png?x=1"),
        ("https://s.test/a.png", "https://s.test/a.png"),
        (
            {
                "type": "Image",
                "url": [
                    {"type": "Link", "href": "https://s.test/s.jpg", "width": 100, "height": 50},
                    {"type": "Link", "href": "https://s.test/l.jpg", "width": 1000, "height": 500},
                    {"type": "Link", "href": "https://s.test/m.jpg", "width": 300, "height": 150},
                    {
                        "type": "Link",
                        "href": "https://s.test/p",
                        "mediaType": "text/html",
                        "width": 9000,
                        "height": 9,
                    },
                ],
            },
            "https://s.test/l.jpg",
        ),
        (
            [{"type": "Link", "mediaType": "text/html", "href": "https://s.test/p"}, PICTURE],
            "https://s.test/a.jpg",
        ),
        ([{"type": "Document", "url": "https://s.test/v.mp4"}, PICTURE], "https://s.test/a.jpg"),
        ([{"type": "Link", "href": "https://s.test/page"}, PICTURE], "https://s.test/a.jpg"),
        (
            [{"type": "Image", "mediaType": "image/svg+xml", "url": "https://s.test/i.svg"}, PICTURE],
            "https://s.test/a.jpg",
        ),
        ([{"type": "Video", "icon": PICTURE, "url": "https://s.test/v"}, PICTURE], "https://s.test/a.jpg"),
    ],
)
def test_the_picture_is_the_largest_and_never_a_page(tmp_path: Path, attachment: object, url: str) -> None:
    assert post_of(tmp_path, create(note(attachment=attachment))).images == (UrlImage(url=url),)


@pytest.mark.parametrize(
    ("texts", "title"),
    [
        ({"contentMap": {"de": "<p>Hallo</p>", "en": "<p>Hello</p>"}}, "Hello"),
        ({"contentMap": {"de": "<p>Hallo</p>"}}, "Hallo"),
        ({"nameMap": {"fr": "Bateau"}, "content": "x"}, "Bateau"),
        ({"summary": "warning", "content": ""}, "warning"),
        ({"summaryMap": {"en": "warning"}}, "warning"),
        ({"summary": "warning", "content": "text"}, "text"),
        ({"content": ["text"]}, "text"),
    ],
)
def test_the_title_is_the_text_of_one_language(tmp_path: Path, texts: dict[str, object], title: str) -> None:
    assert post_of(tmp_path, create(note(**texts))).title == title


def test_bare_posts_are_read(tmp_path: Path) -> None:
    first, second = read(tmp_path, note(), note(id="https://s.test/2", type="Article"))
    assert isinstance(first, ItemUpserted)
    assert isinstance(second, ItemUpserted)


@pytest.mark.parametrize("indent", [None, 2])
def test_an_outbox_is_read_whole(tmp_path: Path, indent: int | None) -> None:
    activities = [create(note(id=f"https://s.test/{n}")) for n in range(3)]
    pages = {"type": "OrderedCollectionPage", "orderedItems": [{"type": "Announce", "object": "https://x.test/1"}]}
    for outbox in (
        {"@context": "x", "type": "OrderedCollection", "orderedItems": [*activities, pages]},
        {"type": "OrderedCollection", "first": {**pages, "orderedItems": [*activities, pages]}},
        {"type": "Collection", "items": [*activities, pages]},
        [*activities, pages],
    ):
        (tmp_path / "outbox.json").write_text(json.dumps(outbox, indent=indent))
        found = list(events_of(read_posts(tmp_path / "outbox.json", SocialFormat())))
        assert [type(each) for each in found] == [ItemUpserted, ItemUpserted, ItemUpserted, SkippedRow]


def test_json_ld_is_read_in_its_spellings(tmp_path: Path) -> None:
    name = "https://www.w3.org/ns/activitystreams#"
    attachment = {f"{name}mediaType": [{"@value": "image/png"}], f"{name}url": [{"@id": "https://s.test/a"}]}
    expanded = {
        "@type": [f"{name}Create"],
        f"{name}object": [
            {
                "@id": "https://s.test/1",
                "@type": [f"{name}Note"],
                f"{name}attachment": [{"@type": [f"{name}Document"], **attachment}],
                f"{name}content": [{"@value": "<b>Hi</b>", "@language": "en"}],
                f"{name}published": [{"@value": PUBLISHED}],
                f"{name}sensitive": [{"@value": True}],
            }
        ],
    }
    prefixed = {
        "type": "as:Create",
        "as:object": {
            "id": "https://s.test/1",
            "type": "as:Note",
            "as:attachment": {"type": "as:Image", "as:url": "https://s.test/a"},
            "as:content": "Hi",
            "as:published": PUBLISHED,
            "as:sensitive": True,
        },
    }
    for activity in (expanded, prefixed):
        post = post_of(tmp_path, activity)
        assert (post.item_id, post.title, post.moderation) == ("https://s.test/1", "Hi", ("sensitive",))
        assert post.images == (UrlImage(url="https://s.test/a"),)
        assert post.revision == revision_at(datetime(2026, 1, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "hides"),
    [(True, True), (False, False), (None, False), ("true", True), ("false", False), ({"x": 1}, True)],
)
def test_a_warning_that_cannot_be_read_hides_the_post(tmp_path: Path, value: object, hides: bool) -> None:
    assert post_of(tmp_path, create(note(sensitive=value))).moderation == (("sensitive",) if hides else ())


def test_the_warning_of_an_attachment_hides_the_post(tmp_path: Path) -> None:
    assert post_of(tmp_path, create(note(attachment=[PICTURE | {"sensitive": True}]))).moderation == ("sensitive",)


def test_a_collection_whose_pages_are_elsewhere_is_skipped_with_its_reason(tmp_path: Path) -> None:
    [found] = read(
        tmp_path, {"type": "OrderedCollection", "totalItems": 9, "first": "https://s.test/outbox?page=1"}
    )
    assert isinstance(found, SkippedRow)
    assert "OrderedCollection" in found.message


def test_a_long_id_is_replaced_by_its_digest_and_named(tmp_path: Path) -> None:
    long = "https://s.test/" + "x" * 300
    items = items_of(tmp_path, create(note(id=long)), {"type": "Delete", "object": long})
    assert items[0].event.item_id == items[1].event.item_id
    assert len(items[0].event.item_id) == 193
    assert items[0].event.item_id.startswith("https://s.test/xxx")
    assert items[0].left_out[0].startswith("id: 315 characters are more than 200")


def test_a_fact_never_costs_the_post(tmp_path: Path) -> None:
    tags = [{"type": "Hashtag", "name": f"#t{n}"} for n in range(60)] + [{"type": "Hashtag", "name": "x" * 300}]
    post = note(published="soon", tag=tags, name="\ud800", url="nonsense", attributedTo="a" * 300)
    [item] = items_of(tmp_path, create(post))
    assert isinstance(item.event, ItemUpserted)
    assert (len(item.event.tags), item.event.title, item.event.created_at) == (50, None, None)
    columns = {sentence.partition(":")[0] for sentence in item.left_out}
    assert columns == {"published", "updated", "tag", "title", "creator"}


def test_a_picture_that_cannot_be_used_is_replaced_by_the_next(tmp_path: Path) -> None:
    [item] = items_of(tmp_path, create(note(attachment=[{"type": "Image", "url": "ftp://s.test/a.jpg"}, PICTURE])))
    assert isinstance(item.event, ItemUpserted)
    assert item.event.images == (UrlImage(url="https://s.test/a.jpg"),)
    assert item.left_out[0].startswith("attachment: a picture is left out: `ftp://s.test/a.jpg`")


def items_of(folder: Path, *activities: object) -> list[FeedItem]:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(activity) + "\n" for activity in activities))
    return [item for item in read_posts(path, SocialFormat()) if isinstance(item, FeedItem)]


def test_mastodons_export_is_read_with_its_pictures(tmp_path: Path, picture: bytes) -> None:
    folder = tmp_path / "media_attachments/files"
    folder.mkdir(parents=True)
    for name in ("cat.png", "sea.png"):
        (folder / name).write_bytes(picture)
    reading = SocialFormat(FolderImages(tmp_path, ImagePacker()))
    found = list(events_of(read_posts(SAMPLES / "mastodon-outbox.json", reading)))
    items = [each for each in found if isinstance(each, ItemUpserted)]
    assert [(item.title, item.tags, item.moderation) for item in items] == [
        ("My cat on the red sofa", ("cats",), ()),
        ("The sea, calm today", (), ("sensitive",)),
    ]
    assert items[0].images == items[1].images == (InlineImage(data=picture),)
    assert items[0].url == "https://mastodon.example/@ann/113000000000000001"
    skipped = [each.message for each in found if isinstance(each, SkippedRow)]
    assert skipped == ["a post without a picture", "an activity of type Announce"]


def test_a_relative_picture_travels_inline(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    activity = create(note(attachment={"type": "Image", "url": "a.png"}))
    [found] = read(tmp_path, activity, reading=SocialFormat(FolderImages(tmp_path, ImagePacker())))
    assert isinstance(found, ItemUpserted)
    assert found.images == (InlineImage(data=picture),)


def test_a_long_text_is_cut_between_words() -> None:
    assert plain_text("<p>one</p><p>two &lt;three&gt;</p>") == "one two <three>"


def test_a_title_is_never_too_long(tmp_path: Path) -> None:
    title = post_of(tmp_path, create(note(content="word " * 400))).title or ""
    assert len(title) <= 300
    assert title.endswith("word…")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=10)
    | st.just("\ud800")
    | st.sampled_from(["Note", "Create", "Image"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted([*note(), "url", "href"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    post=st.dictionaries(
        st.sampled_from(["id", "url", "tag", "attachment", "name", "content", "updated"]), json_values
    )
)
def test_no_post_breaks_the_reading(tmp_path: Path, post: dict[str, object]) -> None:
    [found] = read(tmp_path, create(note(**post)))
    assert isinstance(found, ItemUpserted | ItemDeleted | BadRow | SkippedRow)
