"""The inferred intent: a filter when it is sure, a boost when it is likely; it is dropped step by step."""

import pytest

from consumers.searching.query_understanding import (
    INTENT_BOOST,
    NO_INTENT,
    InferredIntent,
    has_too_few_hits,
    infer_intent,
)
from schemas.filters import Filters
from schemas.results import Likely, Swatch
from schemas.searches import SearchRequest

RED = Swatch(hex="#c81e1e", lab=(43.0, 63.0, 46.0), name="red", share=0.85)
PALE_RED = RED.model_copy(update={"share": 0.5})


def ask(**fields: object) -> SearchRequest:
    return SearchRequest.model_validate({"request_id": "q", "item_id": "a", "intent": "colour", **fields})


def boots(confidence: float) -> tuple[Likely, ...]:
    return (Likely(name="Boots", confidence=confidence),)


def test_what_is_sure_narrows_and_what_is_likely_leans() -> None:
    sure = infer_intent(ask(), boots(0.97), [RED])
    assert sure.inferred_filters() == Filters(category=("Boots",), colours=("red",))
    assert sure.boost_fields == ()
    likely = infer_intent(ask(), boots(0.6), [PALE_RED])
    assert likely.inferred_filters() == Filters()
    assert likely.boosts({"category": "Boots", "colours": ["blue", "red"]}) == (INTENT_BOOST, INTENT_BOOST)
    assert likely.boosts({"category": "Bags", "colours": ["blue"]}) == (0, 0)
    assert infer_intent(ask(), boots(0.4), []) == NO_INTENT


@pytest.mark.parametrize("intent", ["similar", "style"])
def test_colours_count_only_where_they_were_asked_for(intent: str) -> None:
    assert infer_intent(ask(intent=intent), (), [RED]) == NO_INTENT


def test_filtered_fields_are_not_inferred() -> None:
    filtered = ask(filters=Filters(category=("Bags",), colours=("blue",)))
    assert infer_intent(filtered, boots(1), [RED]) == NO_INTENT
    assert NO_INTENT.apply_filters(filtered.filters) == filtered.filters


def test_the_colour_is_relaxed_first_and_relaxed_filters_become_boosts() -> None:
    first = infer_intent(ask(), boots(0.97), [RED]).relax()
    assert (first.inferred_filters(), first.relaxed_filters()) == (
        Filters(category=("Boots",)),
        Filters(colours=("red",)),
    )
    assert first.boost_fields == ("colour",)
    last = first.relax()
    assert (last.inferred_filters(), last.filter_fields) == (Filters(), ())
    assert last.relaxed_filters() == Filters(category=("Boots",), colours=("red",))


def test_three_are_enough_and_fewer_if_fewer_were_asked_for() -> None:
    assert has_too_few_hits(ask(), 2)
    assert not has_too_few_hits(ask(), 3)
    assert not has_too_few_hits(ask(top_k=1), 1)


def test_one_colour_in_several_swatches_counts_together() -> None:
    parts = [RED.model_copy(update={"share": 0.45}), RED.model_copy(update={"share": 0.4, "hex": "#d02828"})]
    assert infer_intent(ask(), (), parts) == InferredIntent(colour="red", filter_fields=("colour",))
