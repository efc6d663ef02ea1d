"""CloudEvents: read the attributes and the data of an event, in the binary and the structured content mode.

    binary        the attributes are headers (`ce_type`, ...), and the value is the data
    structured    the content-type is application/cloudevents+json, and the value holds attributes and data

Sources: CloudEvents Kafka Protocol Binding 1.0.2, section 3; CloudEvents JSON Event Format 1.0.2
(https://cloudevents.io). Header names are compared without case, and `ce-` counts as `ce_`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.failures import Code, Rejected
from schemas.json_value import BYTE_ORDER_MARK, check_parts, read_object

Headers = Mapping[str, bytes | None]

TYPE_PREFIX = "lookstream."
"""Prefix of the CloudEvents type of our events; the value of `schema` follows it."""
MEDIA_TYPE, BATCH_MEDIA_TYPE = "application/cloudevents", "application/cloudevents-batch"
JSON_FORMAT = "+json"
BATCH_REFUSED = "the value is a batch of CloudEvents: send each event in a record of its own"


@dataclass(frozen=True)
class CloudEvent:
    """An event as CloudEvents describes it; attributes that are missing or not UTF-8 are None."""

    data: bytes
    """The event's body, as JSON."""
    type: str | None = None
    id: str | None = None
    source: str | None = None
    specversion: str | None = None


def fold_headers(headers: Headers) -> Headers:
    """The headers by lower-case name, with `ce-` replaced by `ce_`; the usual spelling takes precedence."""
    folded: dict[str, bytes | None] = {}
    for name, value in headers.items():
        lower = name.lower()
        usual = f"ce_{lower[3:]}" if lower.startswith("ce-") else lower
        if usual == name or usual not in folded:
            folded[usual] = value
    return folded


def decode_header(header: bytes | None, max_bytes: int | None = None) -> str | None:
    """Decode a header; None when it is missing, too long or not UTF-8."""
    if header is None or (max_bytes is not None and len(header) > max_bytes):
        return None
    try:
        return header.decode()
    except UnicodeDecodeError:
        return None


def read_cloud_event(value: bytes, headers: Headers) -> CloudEvent:
    """Read a record with a value, whose headers are folded; raises Rejected.

    A value with `specversion` and without `schema` is in the structured mode whatever its content-type: tools that
    write records by hand often set no headers.
    """
    media_type = (decode_header(headers.get("content-type")) or "").partition(";")[0].strip().lower()
    if media_type.startswith(BATCH_MEDIA_TYPE):
        raise Rejected(Code.EVENT_UNREADABLE, BATCH_REFUSED)
    if media_type.startswith(MEDIA_TYPE) and media_type not in (MEDIA_TYPE, MEDIA_TYPE + JSON_FORMAT):
        message = f"CloudEvents as {media_type[:80]} are not read: send {MEDIA_TYPE}{JSON_FORMAT}"
        raise Rejected(Code.EVENT_UNREADABLE, message)
    if media_type.startswith(MEDIA_TYPE) or b'"specversion"' in value:
        fields = read_object(value.removeprefix(BYTE_ORDER_MARK))
        if media_type.startswith(MEDIA_TYPE) or ("specversion" in fields and "schema" not in fields):
            return _read_structured(value.removeprefix(BYTE_ORDER_MARK), fields)
    attributes = {
        name: decode_header(headers.get(f"ce_{name}")) for name in ("type", "id", "source", "specversion")
    }
    return CloudEvent(value, **attributes)


def read_event_id(value: bytes | None, headers: Headers) -> str | None:
    """The id of an event, even if the rest of the event is unreadable; None if it has none."""
    folded = fold_headers(headers)
    try:
        event = read_cloud_event(value or b"", folded)
    except Rejected:
        return decode_header(folded.get("ce_id"))
    return event.id


def check_version(version: str | None) -> None:
    """Raise Rejected if the attributes are not those of CloudEvents 1.x; a missing version counts as 1.0."""
    if version is not None and not version.startswith("1."):
        message = f"`specversion` is {version[:20]!r}: CloudEvents 1.0 are read"
        raise Rejected(Code.EVENT_UNREADABLE, message)


def _read_structured(value: bytes, fields: Mapping[str, object]) -> CloudEvent:
    """Read the JSON of an event in structured mode; `fields` are its fields without numbers."""
    if not fields:
        is_list = value.lstrip().startswith(b"[")
        message = BATCH_REFUSED if is_list else "the value is not an object with the attributes of a CloudEvent"
        raise Rejected(Code.EVENT_UNREADABLE, message)
    attributes: dict[str, str | None] = {}
    for name in ("specversion", "type", "id", "source"):
        text = fields.get(name)
        if not isinstance(text, str) or not text:
            raise Rejected(Code.EVENT_INVALID, f"the CloudEvent needs the text attribute `{name}`")
        attributes[name] = text
    check_version(attributes["specversion"])
    _check_content_type(fields.get("datacontenttype"))
    return CloudEvent(_data_of(value, fields), **attributes)


def _check_content_type(media_type: object) -> None:
    text = str(media_type or "application/json").partition(";")[0].strip().lower()
    if not text.endswith(("/json", JSON_FORMAT)):
        raise Rejected(Code.EVENT_INVALID, f"`datacontenttype` is {text[:80]!r}: send the data as application/json")


def _data_of(value: bytes, fields: Mapping[str, object]) -> bytes:
    """The data of an event in structured mode, as JSON."""
    plain, encoded = fields.get("data"), fields.get("data_base64")
    if (plain is None) == (encoded is None):
        raise Rejected(Code.EVENT_INVALID, "the CloudEvent needs either `data`, an object, or `data_base64`")
    if encoded is not None:
        try:
            data = base64.b64decode(str(encoded), validate=True)
        except (binascii.Error, ValueError):
            raise Rejected(Code.EVENT_INVALID, "`data_base64` of the CloudEvent is not base64") from None
        check_parts(data)
        return data
    if not isinstance(plain, dict):
        message = f"`data` of the CloudEvent is {type(plain).__name__}: send the object itself, not as text"
        raise Rejected(Code.EVENT_INVALID, message)
    try:
        return json.dumps(json.loads(value)["data"]).encode()
    except (ValueError, RecursionError):  # a number of thousands of digits, or too many levels
        raise Rejected(Code.EVENT_UNREADABLE, "`data` of the CloudEvent is not readable as JSON") from None
