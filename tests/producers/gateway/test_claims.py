"""Foreign records in the topic of claims: whatever is not a claim of a gateway is ignored."""

import asyncio
import json
import uuid
from contextlib import closing

import pytest

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord
from producers.gateway.claims import ClaimRegister, RequestClaim
from schemas.topics import GATEWAY_CLAIMS


@pytest.mark.parametrize(
    "hostile",
    [
        {"at_ms": 10**18},
        {"at_ms": -1},
        {"at_ms": 10**400},
        {"deadline_ms": 10**18},
        {"deadline_ms": -1},
        {"kind": "x"},
    ],
    ids=lambda hostile: str(hostile)[:30],
)
def test_a_claim_that_would_count_for_ever_or_be_waited_for_so_long_counts_for_nothing(
    kafka: KafkaSettings, hostile: dict[str, object]
) -> None:
    own = RequestClaim(kind="search", tenant="shop", name=uuid.uuid4().hex, digest="ours", wire_id="w")
    theirs = own.model_dump() | {"digest": "theirs", "owner": "stranger"} | hostile
    with closing(EventSink(kafka)) as sink:
        sink.send_record(OutgoingRecord(GATEWAY_CLAIMS, own.key.encode(), json.dumps(theirs).encode()))
        sink.flush()
    with closing(ClaimRegister(kafka)) as claims:
        assert asyncio.run(claims.claim(own)) == own


def test_a_claim_that_was_first_counts(kafka: KafkaSettings) -> None:
    first = RequestClaim(kind="search", tenant="shop", name=uuid.uuid4().hex, digest="ours", wire_id="w")
    with closing(EventSink(kafka)) as sink:
        sink.send_record(OutgoingRecord(GATEWAY_CLAIMS, first.key.encode(), first.model_dump_json().encode()))
        sink.flush()
    with closing(ClaimRegister(kafka)) as claims:
        assert asyncio.run(claims.claim(first.renewed(first).model_copy(update={"instead_of": ""}))) == first
