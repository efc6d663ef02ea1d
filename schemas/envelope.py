"""Events as Kafka carries them: a JSON value, and CloudEvents 1.0 headers in binary mode.

Source: CloudEvents Kafka Protocol Binding 1.0.2, section 3.2 (https://cloudevents.io).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from schemas.audit import DeadLetterReplayed
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
"""Every event that this version reads and writes, by the value of its `schema` field."""

TYPE_PREFIX = "lookstream."
CORRELATION_ID = "correlation-id"
REPLY_TO = "reply-to"
REPLY_PARTITION = "reply-partition"
TRACEPARENT = "traceparent"
CARRIED = (CORRELATION_ID, REPLY_TO, REPLY_PARTITION, TRACEPARENT)
"""Headers that an event keeps besides those of CloudEvents."""
MOST_HEADER_BYTES = 250
"""The longest of them is a topic's name, of 249 letters at most."""


@dataclass(frozen=True)
class Event:
    """One event: its body, and what its headers say of it."""

    body: Body
    source: str = "lookstream"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further headers: traceparent, and for searches correlation-id, reply-to, reply-partition."""
    position: str = ""
    """topic/partition/offset of the record that carried it, or that it answers; empty for one that is new."""


def to_bytes(body: BaseModel) -> bytes:
    """The JSON value of an event; fields that are None are left out."""
    return body.model_dump_json(by_alias=True, exclude_none=True).encode()


def to_headers(event: Event) -> dict[str, str]:
    """The Kafka headers of an event."""
    return {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": TYPE_PREFIX + event.body.schema_,
        "ce_source": event.source,
        "ce_time": event.time.isoformat(),
        "content-type": "application/json",
        **event.extra,
    }


def from_bytes(value: bytes) -> Body:
    """The event in a record's value; raises Rejected with a sentence that names the field."""
    value = value.removeprefix(BYTE_ORDER_MARK)
    name = read_object(value).get("schema")
    if not isinstance(name, str):
        raise Rejected(Code.EVENT_UNREADABLE, "the value is not an object with a text field `schema`")
    body = BODIES.get(name)
    if body is None:
        known = ", ".join(sorted(BODIES))
        raise Rejected(Code.EVENT_UNKNOWN, f"`schema` is {name[:80]!r}; this version reads {known}")
    try:
        return body.model_validate_json(value)
    except ValidationError as error:
        raise Rejected(Code.EVENT_INVALID, describe(error)) from None


def from_record(
    position: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes | None], timestamp_ms: int
) -> Event:
    """The event that a record carries; raises Rejected, and nothing else whatever the record holds.

    `position` is topic/partition/offset: it names an event that brings no id. A null value on an item topic
    deletes the item of the key, at the time of the record. A header that is not UTF-8, or one to be carried on
    that is too long for that, counts as one that is not there.
    """
    now = datetime.now(UTC)
    try:
        time = record_time(timestamp_ms, now)
    except ValueError as error:
        raise Rejected(Code.EVENT_INVALID, f"the record's time (CreateTime): {error}") from None
    if value is None:
        body: Body = _deletion(position, key, time)
    else:
        check_parts(value)
        body = from_bytes(value)
    check_key(key, body)
    if isinstance(body, SearchRequest | FacetsRequest):
        time = min(time, now)  # its deadline is counted from there, and who looks newest must not go first
    extra = {name: text for name in CARRIED if (text := _text(headers.get(name), MOST_HEADER_BYTES))}
    source, event_id = _text(headers.get("ce_source")), _text(headers.get("ce_id"))
    return Event(body, source or "unknown", event_id or position, time, extra)


def key_of(body: Body) -> str | None:
    """The key of an event's record, which keeps all of one item, watch or request in one partition, in order."""
    if isinstance(body, ItemEvent):
        return item_key(body.tenant, body.item_id)
    if isinstance(body, SearchRequest | FacetsRequest):
        return body.request_id
    return body.key if isinstance(body, Watch) else None


def check_key(key: bytes | None, body: Body) -> None:
    """Raise Rejected when a record's key is another than its body's; a request may have none."""
    expected = key_of(body)
    if expected is None or key == expected.encode():
        return
    if isinstance(body, SearchRequest | FacetsRequest):
        if not key:
            return
        why = "send it with its `request_id` as key, or without a key"
    else:
        why = "send all that is about one of them with its own key: what has another is not kept in order with it"
    found = "there is none" if key is None else f"it is {key[:80]!r}"
    raise Rejected(Code.KEY_INVALID, f"the record's key must be {expected[:150]!r}, and {found}: {why}")


def _text(header: bytes | None, most: int | None = None) -> str | None:
    """A header as text; None when there is none that can be used."""
    if header is None or (most is not None and len(header) > most):
        return None
    try:
        return header.decode()
    except UnicodeDecodeError:
        return None


def _deletion(position: str, key: bytes | None, time: datetime) -> ItemDeleted:
    topic = position.split("/", 1)[0]
    source: Source = "social" if topic == SOCIAL_POSTS else "catalog"
    try:
        tenant, item_id = split_item_key((key or b"").decode())
        revision = max(microseconds_since_1970(time), 1_000)
        return ItemDeleted(tenant=tenant, item_id=item_id, source=source, revision=revision)
    except ValueError as error:
        raise Rejected(Code.KEY_INVALID, f"a null value deletes the item of its key: {error}"[:500]) from None


def describe(error: ValidationError, limit: int = 3) -> str:
    """What is wrong, in one sentence: each field with the kind of value it got, and what is wanted."""
    found = [_describe_one(dict(problem)) for problem in error.errors(include_url=False)]
    more = f" (and {len(found) - limit} more)" if len(found) > limit else ""
    return ("; ".join(found[:limit]) + more)[:500]


def _describe_one(problem: Mapping[str, object]) -> str:
    location = problem.get("loc")
    where = ".".join(str(part)[:80] for part in location) if isinstance(location, tuple) else ""
    message = str(problem.get("msg", "")).removeprefix("Value error, ")
    kind = type(problem.get("input")).__name__
    return f"`{where}` ({kind}): {message}" if where else message
