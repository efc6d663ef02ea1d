"""Events as Kafka carries them: a JSON value, and CloudEvents 1.0 headers in binary mode.

Source: CloudEvents Kafka Protocol Binding 1.0.2, section 3.2 (https://cloudevents.io).
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from schemas.failures import Code, Rejected
from schemas.items import ItemDeleted, ItemPatched, ItemUpserted
from schemas.outcomes import ItemIndexed, ItemRejected, ItemRemoved
from schemas.searches import SearchRequest, SearchResult

Body = (
    ItemUpserted | ItemPatched | ItemDeleted | SearchRequest | SearchResult | ItemIndexed | ItemRemoved | ItemRejected
)

BODIES: dict[str, type[Body]] = {
    "item.upserted/1": ItemUpserted,
    "item.patched/1": ItemPatched,
    "item.deleted/1": ItemDeleted,
    "item.indexed/1": ItemIndexed,
    "item.removed/1": ItemRemoved,
    "item.rejected/1": ItemRejected,
    "search.request/1": SearchRequest,
    "search.result/1": SearchResult,
}
"""Every event that this version reads and writes, by the value of its `schema` field."""

TYPE_PREFIX = "lookstream."
CORRELATION_ID = "correlation-id"
REPLY_TO = "reply-to"
REPLY_PARTITION = "reply-partition"
TRACEPARENT = "traceparent"


@dataclass(frozen=True)
class Event:
    """One event: its body, and what its headers say of it."""

    body: Body
    source: str = "lookstream"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further headers: traceparent, and for searches correlation-id, reply-to, reply-partition."""


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
    name = _schema_of(value)
    body = BODIES.get(name)
    if body is None:
        known = ", ".join(sorted(BODIES))
        raise Rejected(Code.EVENT_UNKNOWN, f"`schema` is {name[:80]!r}; this version reads {known}")
    try:
        return body.model_validate_json(value)
    except ValidationError as error:
        raise Rejected(Code.EVENT_INVALID, describe(error)) from None


def _schema_of(value: bytes) -> str:
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        raise Rejected(Code.EVENT_UNREADABLE, f"the value is not JSON: it starts {value[:24]!r}") from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), str):
        raise Rejected(Code.EVENT_UNREADABLE, "the value is not an object with a text field `schema`")
    return str(data["schema"])


def describe(error: ValidationError, limit: int = 3) -> str:
    """What is wrong, in one sentence: each field with the kind of value it got, and what is wanted."""
    found = [_describe_one(dict(problem)) for problem in error.errors(include_url=False)]
    more = f" (and {len(found) - limit} more)" if len(found) > limit else ""
    return ("; ".join(found[:limit]) + more)[:500]


def _describe_one(problem: Mapping[str, object]) -> str:
    location = problem.get("loc")
    where = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    message = str(problem.get("msg", "")).removeprefix("Value error, ")
    kind = type(problem.get("input")).__name__
    return f"`{where}` ({kind}): {message}" if where else message
