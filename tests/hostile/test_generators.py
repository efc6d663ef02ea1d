"""The generators of hostile input: a seed gives the same input, every kind occurs, and each code is right."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from schemas.envelope import Event, from_record
from schemas.facets import FacetsRequest
from schemas.failures import Code, Rejected
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_WATCHES
from tests.hostile.records import HostileRecord, hostile_records
from tests.hostile.requests import hostile_bodies, hostile_requests

COUNT, LARGEST = 1_500, 100_000
EARLY_CODES = {Code.EVENT_INVALID, Code.EVENT_UNREADABLE, Code.EVENT_UNKNOWN, Code.KEY_INVALID}
"""Codes that a record gets before anything is done about it; an event of another topic gets one of them later."""
NOW_MS = 1_714_564_800_000


def outcome(record: HostileRecord) -> Event | Rejected:
    """The result of reading a record."""
    try:
        at = record.timestamp_ms or NOW_MS
        return from_record(f"{record.topic}/0/1", record.key, record.value, dict(record.headers), at)
    except Rejected as refused:
        return refused


def assert_codes_are_true(records: Sequence[HostileRecord]) -> None:
    for record in records:
        found = outcome(record)
        if record.topic == SEARCH_WATCHES:
            continue  # whatever it is, nothing is said of it
        if record.code in EARLY_CODES and not record.kind.endswith(("topic: another", "another kind of event")):
            assert isinstance(found, Rejected), record
            assert found.code == record.code, (record.kind, found.message, record)
        else:
            assert isinstance(found, Event), (record.kind, found.message, record)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_record_is_refused_with_the_code_that_it_names(seed: int) -> None:
    assert_codes_are_true(list(hostile_records(seed, COUNT, LARGEST)))
    assert_codes_are_true(list(hostile_requests(seed, COUNT, LARGEST)))


def test_a_seed_gives_the_same_records_and_another_one_others() -> None:
    for generate in (hostile_records, hostile_requests):
        first, again, other = (list(generate(seed, 300, 10_000)) for seed in (7, 7, 8))
        untimed = [record._replace(timestamp_ms=0) for record in first]
        assert untimed == [record._replace(timestamp_ms=0) for record in again]
        assert untimed != [record._replace(timestamp_ms=0) for record in other]
    assert list(hostile_bodies(7, 300, 10_000)) == list(hostile_bodies(7, 300, 10_000))


def test_every_kind_comes_and_most_are_small() -> None:
    records = list(hostile_records(3, 4_000))
    kinds = Counter(record.kind for record in records)
    groups = ("item: bad field", "item: odd field", "item: wide", "picture: cut off", "key: another", "deletion")
    assert min(kinds[kind] for kind in (*groups, "headers", "time", "topic: another", "retry headers")) >= 10
    sizes = sorted(len(record.value or b"") for record in records)
    assert sizes[len(sizes) // 2] < 1_000
    assert 1_000_000 < sizes[-1] <= 6_100_000
    assert {record.code for record in records} >= {None, *EARLY_CODES, Code.IMAGE_FORMAT, Code.SOURCE_REFUSED}


def test_bodies_are_refused_where_their_fields_make_no_sense() -> None:
    for path, body, _, code, kind in hostile_bodies(1, COUNT, 20_000):
        model = SearchRequest if path.endswith("search") else FacetsRequest
        try:
            model.model_validate_json(body)
            is_valid = isinstance(json.loads(body), dict)
        except (ValidationError, ValueError, RecursionError):
            is_valid = False
        assert is_valid == (code not in EARLY_CODES), (kind, body[:300])
