"""Social posts: what an activity becomes."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.image_packer import ImagePacker
from producers.image_refs import FolderImages
from producers.row_reader import BadRow, SkippedRow
from producers.social import Post, SocialFormat, plain_text, read_social
from schemas.items import InlineImage, ItemDeleted, ItemUpserted, UrlImage, revision_at

PUBLISHED = "2026-01-31T12:00:00Z"
PICTURE = {"type": "Image", "mediaType": "image/jpeg", "url": "https://s.test/a.jpg"}


def note(**changes: object) -> dict[str, object]:
    return {"type": "Note", "id": "https://s.test/1", "attachment": [PICTURE], "published": PUBLISHED} | changes


def create(post: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {"type": "Create", "actor": "https://s.test/ann", "object": post} | changes


def read(folder: Path, *activities: object, reading: SocialFormat | None = None) -> list[Post]:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(activity) + "\n" for activity in activities))
    return list(read_social(path, reading or SocialFormat()))


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
    "activity", [{"type": "Like", "object": "x"}, create(note(attachment=[])), create({"type": "Article"}), {}]
)
def test_what_is_no_post_with_a_picture_is_skipped(tmp_path: Path, activity: object) -> None:
    [found] = read(tmp_path, activity)
    assert isinstance(found, SkippedRow)


@pytest.mark.parametrize(
    ("post", "part"),
    [
        (note(id=None), "no `id`"),
        (note(published="soon"), "ISO 8601"),
        (note(attachment={"type": "Image", "url": "a.jpg"}), "--image-root"),
    ],
)
def test_a_bad_post_is_one_sentence_with_its_line(tmp_path: Path, post: dict[str, object], part: str) -> None:
    _, found = read(tmp_path, create(note()), create(post))
    assert isinstance(found, BadRow)
    assert found.line == 2
    assert part in found.message


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
    assert isinstance(found, ItemUpserted | BadRow | SkippedRow)
