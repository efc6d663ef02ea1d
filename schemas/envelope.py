"""Event envelope: convert events to and from Kafka records: JSON, with CloudEvents 1.0 headers.

Events are written in the binary mode of CloudEvents, and read in the structured mode too (schemas/cloud_events.py).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from schemas.audit import DeadLetterReplayed
from schemas.cloud_events import (
    TYPE_PREFIX,
    Headers,
    check_version,
    decode_header,
    fold_headers,
    read_cloud_event,
)
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Code, Rejected
from schemas.items import (
    ItemDeleted,
    ItemEvent,
    ItemPatched,
    ItemUpserted,
    Source,
    item_key,
    split_item_key,
)
from schemas.json_value import BYTE_ORDER_MARK, check_parts, read_object
from schemas.moments import microseconds_since_1970, record_time
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemRejected, ItemRemoved, ItemSuperseded
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SOCIAL_POSTS
from schemas.watches import Watch, WatchMatched

Body = (
    ItemUpserted
    | ItemPatched
    | ItemDeleted
    | SearchRequest
    | SearchResult
    | FacetsRequest
    | FacetsResult
    | Watch
    | WatchMatched
    | ItemIndexed
    | ItemRemoved
    | ItemBlocked
    | ItemSuperseded
    | ItemRejected
    | DeadLetterReplayed
)

BODIES: dict[str, type[Body]] = {
    "item.upserted/1": ItemUpserted,
    "item.patched/1": ItemPatched,
    "item.deleted/1": ItemDeleted,
    "item.indexed/1": ItemIndexed,
    "item.removed/1": ItemRemoved,
    "item.blocked/1": ItemBlocked,
    "item.superseded/1": ItemSuperseded,
    "item.rejected/1": ItemRejected,
    "search.request/1": SearchRequest,
    "search.result/1": SearchResult,
    "facets.request/1": FacetsRequest,
    "facets.result/1": FacetsResult,
    "watch/1": Watch,
    "watch.matched/1": WatchMatched,
    "dead_letter.replayed/1": DeadLetterReplayed,
}
"""Model of every event that this version reads and writes, by the value of the `schema` field."""

CORRELATION_ID = "correlation-id"
REPLY_TO = "reply-to"
REPLY_PARTITION = "reply-partition"
TRACEPARENT = "traceparent"
CARRIED = (CORRELATION_ID, REPLY_TO, REPLY_PARTITION, TRACEPARENT)
"""Headers that are read from a record in addition to those of CloudEvents, and are forwarded with the event."""
MAX_DESCRIBED = 3
"""Maximum number of invalid fields that a message describes."""
LAST_MICROSECOND = 999
"""Microseconds added to a null value's time, so that it is newer than an event of the same millisecond."""
MOST_HEADER_BYTES = 250
"""Maximum size of a forwarded header; the longest one is a topic name, of at most 249 characters."""


@dataclass(frozen=True)
class Event:
    """An event: its body and the metadata from its headers."""

    body: Body
    source: str = "lookstream"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further headers: traceparent, and for requests correlation-id, reply-to and reply-partition."""
    position: str = ""
    """topic/partition/offset of the record that contained the event or that it answers; empty for a new event."""


def to_bytes(body: BaseModel) -> bytes:
    """Serialise an event's body as JSON; fields that are None are omitted."""
    return body.model_dump_json(by_alias=True, exclude_none=True).encode()


def to_headers(event: Event) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": TYPE_PREFIX + event.body.schema_,
        "ce_source": event.source,
        "ce_time": event.time.isoformat(),
        "content-type": "application/json",
        **event.extra,
    }


def from_bytes(value: bytes, event_type: str | None = None, version: str | None = None) -> Body:
    """Parse the value of a record; raises Rejected with a message that names the invalid field.

    `event_type` and `version` are the attributes `type` and `specversion` of CloudEvents: the type names the event
    where the field `schema` is missing.
    """
    value = value.removeprefix(BYTE_ORDER_MARK)
    schema, named = read_object(value).get("schema"), _schema_in(event_type)
    if schema is None and event_type is not None:
        check_version(version)
        schema = named or event_type
    if not isinstance(schema, str):
        message = "the value is not an object with a text field `schema`, and no header `ce_type` names the event"
        raise Rejected(Code.EVENT_UNREADABLE, message)
    if named is not None and named != schema:
        message = (
            f"`schema` is {schema[:80]!r}, but the type (`ce_type`) says {named[:80]!r}: send the same in both"
        )
        raise Rejected(Code.EVENT_INVALID, message)
    body = BODIES.get(schema)
    if body is None:
        known = ", ".join(sorted(BODIES))
        raise Rejected(Code.EVENT_UNKNOWN, f"`schema` or `ce_type` is {schema[:80]!r}; this version reads {known}")
    try:
        return body.model_validate_json(value)
    except ValidationError as error:
        raise Rejected(Code.EVENT_INVALID, describe(error)) from None


def from_record(
    position: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int
) -> Event:
    """Parse a record; whatever the record contains, the only exception raised is Rejected.

    `position` is topic/partition/offset; it serves as the event's id when CloudEvents gives it none. A null value
    (a tombstone) deletes the item of the record's key, at the end of the millisecond of the record's time. A header
    that is not UTF-8 is ignored, and so is a forwarded header that is too long. The event's time is the record's:
    deadlines and the generation that reports an outcome depend on it, so producers cannot choose it by `time`.
    """
    folded = fold_headers(headers)
    now = datetime.now(UTC)
    try:
        time = record_time(timestamp_ms, now)
    except ValueError as error:
        raise Rejected(Code.EVENT_INVALID, f"the record's time (CreateTime): {error}") from None
    if value is None:
        event_id, source = decode_header(folded.get("ce_id")), decode_header(folded.get("ce_source"))
        body: Body = _parse_tombstone(position, key, time)
    else:
        check_parts(value)
        event = read_cloud_event(value, folded)
        event_id, source = event.id, event.source
        body = from_bytes(event.data, event.type, event.specversion)
    check_key(key, body)
    if isinstance(body, SearchRequest | FacetsRequest):
        time = min(time, now)  # the deadline counts from this time, and a time in the future must not give priority
    extra = {name: text for name in CARRIED if (text := decode_header(folded.get(name), MOST_HEADER_BYTES))}
    return Event(body, source or "unknown", event_id or position, time, extra)


def key_of(body: Body) -> str | None:
    """The record key of an event: it keeps all events of one item, watch or request in one partition, in order."""
    if isinstance(body, ItemEvent):
        return item_key(body.tenant, body.item_id)
    if isinstance(body, SearchRequest | FacetsRequest):
        return body.request_id
    return body.key if isinstance(body, Watch) else None


def check_key(key: bytes | None, body: Body) -> None:
    """Raise Rejected when a record's key differs from the key of its body; requests may have no key."""
    expected = key_of(body)
    if expected is None or key == expected.encode():
        return
    if isinstance(body, SearchRequest | FacetsRequest):
        if not key:
            return
        remedy = "send it with its `request_id` as key, or without a key"
    else:
        remedy = "send all events of an item or a watch with the same key, otherwise their order is lost"
    actual = "there is none" if key is None else f"it is {key[:80]!r}"
    raise Rejected(Code.KEY_INVALID, f"the record's key must be {expected[:150]!r}, but {actual}: {remedy}")


def _schema_in(event_type: str | None) -> str | None:
    """The `schema` that a CloudEvents type names, with or without the prefix; None for types of other programs."""
    if event_type is None:
        return None
    name = event_type.removeprefix(TYPE_PREFIX)
    return name if name in BODIES or name != event_type else None


def _parse_tombstone(position: str, key: bytes | None, time: datetime) -> ItemDeleted:
    topic = position.split("/", 1)[0]
    source: Source = "social" if topic == SOCIAL_POSTS else "catalog"
    try:
        tenant, item_id = split_item_key((key or b"").decode())
        revision = microseconds_since_1970(time) + LAST_MICROSECOND
        return ItemDeleted(tenant=tenant, item_id=item_id, source=source, revision=revision)
    except ValueError as error:
        raise Rejected(Code.KEY_INVALID, f"a null value deletes the item of its key: {error}"[:500]) from None


def describe(error: ValidationError) -> str:
    """Describe up to MAX_DESCRIBED invalid fields, each with its type and the reason, in at most 500 characters."""
    messages = [_describe_problem(dict(problem)) for problem in error.errors(include_url=False)]
    more = f" (and {len(messages) - MAX_DESCRIBED} more)" if len(messages) > MAX_DESCRIBED else ""
    return ("; ".join(messages[:MAX_DESCRIBED]) + more)[:500]


def _describe_problem(problem: Mapping[str, object]) -> str:
    location = problem.get("loc")
    field_path = ".".join(str(part)[:80] for part in location) if isinstance(location, tuple) else ""
    message = str(problem.get("msg", "")).removeprefix("Value error, ")
    input_type = type(problem.get("input")).__name__
    return f"`{field_path}` ({input_type}): {message}" if field_path else message
