"""Pictures of the keypoints that agree, and sheets of searches."""

import io
from pathlib import Path

import pytest
from PIL import Image

from producers.search_pictures import SIDE, draw_matches, write_sheet
from schemas.failures import Rejected
from schemas.items import InlineImage
from schemas.results import Explained, Hit, KeypointMatch, RegionResult, SearchResult
from schemas.searches import Crop, SearchRequest


def jpeg(colour: str, size: tuple[int, int] = (300, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


def hit(item: str, matches: tuple[KeypointMatch, ...] | None, *, thumbnail: bool = True) -> Hit:
    return Hit(
        item_id=item, tenant="default", score=0.9, image=0, source="catalog", revision=1,
        thumbnail=jpeg("white") if thumbnail else None,
        explained=Explained(object=0.9, style=0.5, colour=0.5, matches=matches),
    )  # fmt: skip


MATCH = KeypointMatch(query=(0.5, 0.5), hit=(0.25, 0.75))


def test_each_verified_hit_has_a_row_with_the_query_and_lines() -> None:
    page = draw_matches(jpeg("white"), None, [hit("a", (MATCH,) * 3), hit("b", ()), hit("c", None)])
    assert page is not None
    plain = draw_matches(jpeg("white"), None, [hit("a", ()), hit("b", ())])
    assert plain is not None
    assert page.size == plain.size
    assert page.size[0] > 2 * SIDE
    assert page.tobytes() != plain.tobytes()


def test_without_a_verified_hit_or_its_thumbnail_there_is_none() -> None:
    assert draw_matches(jpeg("white"), None, [hit("a", None), hit("b", (MATCH,), thumbnail=False)]) is None


def test_a_crop_of_the_query_is_drawn_alone() -> None:
    crops = None, Crop(x=0, y=0, w=1, h=0.5)
    whole, part = (draw_matches(jpeg("red"), crop, [hit("a", (MATCH,))]) for crop in crops)
    assert whole is not None
    assert part is not None
    assert whole.tobytes() != part.tobytes()


def test_a_query_that_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(Rejected):
        draw_matches(b"no picture", None, [hit("a", (MATCH,))])


def test_a_sheet_has_a_row_for_each_thing_in_the_picture(tmp_path: Path) -> None:
    request = SearchRequest(request_id="q", image=InlineImage(data=jpeg("red")), objects="auto")
    box = Crop(x=0.5, y=0, w=0.5, h=0.5)
    thing = RegionResult(box=box, objectness=0.9, hits=(hit("b", None),))
    heights = []
    for regions in ((), (thing,), (thing, thing)):
        result = SearchResult(request_id="q", status="ok", hits=(hit("a", None),), regions=regions)
        write_sheet(tmp_path / "sheet.png", "photo.jpg", request, result)
        with Image.open(tmp_path / "sheet.png") as sheet:
            heights.append(sheet.height)
    assert heights[2] - heights[1] == heights[1] - heights[0] > 100
