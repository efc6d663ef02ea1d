"""One size for every topic: the largest event of the schemas fits, and so does its dead letter."""

from schemas.envelope import to_bytes
from schemas.items import MAX_IMAGES, MAX_INLINE_BYTES, InlineImage, ItemUpserted
from schemas.searches import MOST_IMAGES, SearchRequest
from schemas.topics import FRAMING_BYTES, MAX_RECORD_BYTES, all_topics

HEADER_BYTES = 20_000
"""More than all headers of a dead letter together."""
PICTURE = InlineImage(data=bytes(MAX_INLINE_BYTES))


def test_the_largest_item_event_fits_into_a_record() -> None:
    words = ["\N{ELEPHANT}" * 196 + f"{n:04}" for n in range(50)]
    event = ItemUpserted(
        item_id="a" * 200,
        revision=1,
        images=(PICTURE,) * MAX_IMAGES,
        title="\N{ELEPHANT}" * 500,
        tags=tuple(words),
        attributes={word: "\N{ELEPHANT}" * 500 for word in words},
        url="https://shop.example/" + "a" * 2000,
    )
    assert len(to_bytes(event)) + HEADER_BYTES < MAX_RECORD_BYTES


def test_the_largest_pictures_of_a_search_fit_into_a_record() -> None:
    request = SearchRequest(request_id="r", image=PICTURE, more_images=(PICTURE,) * (MOST_IMAGES - 1))
    assert len(to_bytes(request)) + HEADER_BYTES < MAX_RECORD_BYTES


def test_all_topics_take_the_same_so_that_what_was_read_can_be_sent_on() -> None:
    assert {topic.config()["max.message.bytes"] for topic in all_topics()} == {
        str(MAX_RECORD_BYTES + FRAMING_BYTES)
    }
    assert {topic.config(900_000)["max.message.bytes"] for topic in all_topics()} == {str(900_000 + FRAMING_BYTES)}
