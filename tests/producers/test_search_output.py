"""The printed result of a search."""

import io

from rich.console import Console

from producers.search_output import show
from schemas.results import Hit, Likely, RegionResult, SearchResult
from schemas.searches import Crop


def hit(item: str) -> Hit:
    return Hit(item_id=item, tenant="default", score=0.9, image=0, source="catalog", revision=1, title=f"a {item}")


def printed(result: SearchResult) -> list[str]:
    out = io.StringIO()
    show(result, 0.05, Console(file=out, width=120))
    return out.getvalue().splitlines()


def test_each_thing_in_the_picture_is_printed_with_its_place_and_its_hits() -> None:
    regions = (
        RegionResult(
            box=Crop(x=0.1, y=0.2, w=0.25, h=0.5), objectness=0.9, hits=(hit("shoe"),),
            categories=(Likely(name="shoe", confidence=0.75),),
        ),
        RegionResult(box=Crop(x=0.5, y=0, w=0.5, h=0.5), objectness=0.6),
    )  # fmt: skip
    lines = printed(SearchResult(request_id="q", status="ok", hits=(hit("street"),), regions=regions))
    assert lines[1].split()[-1] == "street"
    assert lines[2] == "thing 1 at 0.10,0.20,0.25,0.50: shoe (75%)"
    assert lines[4].split()[-1] == "shoe"
    assert lines[5:7] == ["thing 2 at 0.50,0.00,0.50,0.50: of no known kind", "no similar item"]
    assert lines[7].startswith("1 hit in 50 ms")


def test_a_hit_in_a_part_of_a_picture_names_the_picture_and_the_part() -> None:
    found = hit("post").model_copy(update={"image": 1, "box": Crop(x=0.5, y=0, w=0.25, h=0.5)})
    line = printed(SearchResult(request_id="q", status="ok", hits=(found,)))[1]
    assert "a post (in its picture 2 at 0.50,0.00,0.25,0.50)" in line


def test_without_things_nothing_is_said_of_them() -> None:
    assert not any("thing" in line for line in printed(SearchResult(request_id="q", status="ok", hits=(hit("a"),))))
