"""The state of a query: its picture, and its weights."""

import pytest

from consumers.searching.query_state import QueryState
from schemas.envelope import Event
from schemas.ranking import INTENTS, Weights
from schemas.results import Swatch
from schemas.searches import SearchRequest

GREYS = (Swatch(hex="#808080", lab=(54.0, 0.0, 0.0), name="grey", share=0.6),)
BLACK_SHOE = (
    Swatch(hex="#101012", lab=(4.0, 0.4, -1.2), name="black", share=0.7),
    Swatch(hex="#9a8f80", lab=(60.0, 1.6, 9.0), name="beige", share=0.3),
)


def weights(palette: tuple[Swatch, ...], **fields: object) -> Weights:
    request = SearchRequest.model_validate({"request_id": "q", "item_id": "a", **fields}, strict=False)
    return QueryState(Event(request), request, palette=palette).weights


@pytest.mark.parametrize("intent", ["exact", "similar"])
def test_a_picture_without_colours_says_nothing_of_them(intent: str) -> None:
    found = weights(GREYS, intent=intent)
    assert found.colour == 0
    assert found.object == INTENTS[intent].object  # type: ignore[index]


@pytest.mark.parametrize("palette", [BLACK_SHOE, ()])
def test_a_picture_of_something_black_and_one_that_is_unknown_keep_their_colours(
    palette: tuple[Swatch, ...],
) -> None:
    assert weights(palette) == INTENTS["similar"]


def test_what_was_asked_for_stays() -> None:
    assert weights(GREYS, intent="colour") == INTENTS["colour"]
    assert weights(GREYS, weights={"colour": 1}) == Weights(colour=1)
