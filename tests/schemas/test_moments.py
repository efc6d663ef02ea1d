"""Times at both ends of the calendar: what UTC holds is kept to the microsecond, the rest is refused by name."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.envelope import BODIES, from_bytes, from_record
from schemas.failures import Code, Rejected
from schemas.filters import Filters
from schemas.items import ItemUpserted, UrlImage
from schemas.model import Model
from schemas.moments import EPOCH, Moment, microseconds_since_1970, moment_at, record_time

NOW = datetime(2026, 5, 1, tzinfo=UTC)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ITEM = {
    "schema": "item.upserted/1",
    "item_id": "a",
    "revision": 1,
    "images": [{"kind": "url", "url": "https://a.example"}],
}


def subclasses(model: type[Model]) -> Iterator[type[Model]]:
    for each in model.__subclasses__():
        yield each
        yield from subclasses(each)


MODELS = {model.__name__: model for model in subclasses(Model)}
BEYOND = ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000001+00:01", "9999-12-31T23:59:59-14:00"]


@given(st.datetimes(timezones=OFFSETS))
def test_a_time_that_is_taken_can_be_computed_with_and_comes_back_to_the_microsecond(moment: datetime) -> None:
    try:
        parsed = TypeAdapter(Moment).validate_json(json.dumps(moment.isoformat()))
    except ValidationError:
        with pytest.raises(OverflowError):
            moment.astimezone(UTC)
        return
    assert -(2**63) <= microseconds_since_1970(parsed) < 2**63
    assert moment_at(microseconds_since_1970(parsed)) == parsed == moment


@given(st.datetimes(timezones=OFFSETS))
def test_microseconds_are_those_of_the_calendar_whatever_the_offset(moment: datetime) -> None:
    assert EPOCH + timedelta(microseconds=microseconds_since_1970(moment)) - moment == timedelta(0)


@pytest.mark.parametrize("text", BEYOND)
def test_every_time_that_strangers_send_is_refused_when_utc_does_not_hold_it(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        from_bytes(json.dumps(ITEM | {"created_at": text}).encode())
    assert refused.value.code == Code.EVENT_INVALID
    assert refused.value.message.startswith("`created_at` (str): in UTC the time is before")
    for name in ("created_after", "created_before"):
        with pytest.raises(ValidationError, match="correct the year"):
            Filters.model_validate_json(json.dumps({name: text}))


def test_no_model_on_the_wire_has_a_time_that_is_not_checked() -> None:
    """JSON Schema tells no AfterValidator, so each field of the format date-time is given a time beyond UTC."""
    for name, body in BODIES.items():
        for model, definition in {
            "": body.model_json_schema(),
            **body.model_json_schema().get("$defs", {}),
        }.items():
            for field, schema in definition.get("properties", {}).items():
                if "date-time" in json.dumps({**schema, "description": ""}):
                    message = refusal_of(MODELS.get(model, body), field)
                    assert "in UTC the time is" in message, f"{name}: {model}.{field}"


def refusal_of(model: type, field: str) -> str:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(model).validate_json(json.dumps({field: BEYOND[0]}))
    return "; ".join(problem["msg"] for problem in refused.value.errors() if problem["loc"][-1] == field)


@given(st.integers(-(2**70), 2**70) | st.integers(-10, 10) | st.just(10**5_000))
def test_a_records_time_is_taken_from_1970_to_an_hour_ahead_and_refused_else(milliseconds: int) -> None:
    latest = (NOW + timedelta(hours=1) - EPOCH) // timedelta(milliseconds=1)
    if 0 <= milliseconds <= latest:
        assert record_time(milliseconds, NOW) == EPOCH + timedelta(milliseconds=milliseconds)
        return
    with pytest.raises(ValueError, match=r"it has none|is before 1970|more than an hour ahead"):
        record_time(milliseconds, NOW)


@pytest.mark.parametrize("milliseconds", [-1, -62_135_596_800_001, 253_402_300_800_000, 2**63 - 1])
def test_a_record_of_no_such_time_is_refused_with_the_remedy(milliseconds: int) -> None:
    value = ItemUpserted(item_id="a", revision=1, images=(UrlImage(url="https://a.example"),)).model_dump_json()
    for body in (value.encode(), None):
        with pytest.raises(Rejected) as refused:
            from_record("catalog.items/0/0", b"default:a", body, {}, milliseconds)
        assert refused.value.code == Code.EVENT_INVALID
        assert "CreateTime" in refused.value.message
