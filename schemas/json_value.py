"""The JSON value of a record, before any model sees it: what no event is like is refused at little cost.

Pydantic takes its time over a value that is large and wrong: half a million unknown fields cost seconds and some
hundred megabytes, one error each. These limits lie far above the largest event and far below that.
"""

import json
from collections import Counter
from collections.abc import Mapping

from schemas.failures import Code, Rejected

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_FIELDS = 10_000
"""Fields of one object."""
MOST_PARTS = 100_000
"""Brackets, braces and commas: the largest item event has 65,000 letters in all its texts together."""


def check_parts(value: bytes) -> None:
    """Raise Rejected when a value is made of more parts than any event."""
    count = sum(map(value.count, (b"[", b"{", b",")))
    if count > MOST_PARTS:
        text = f"the value (JSON) has {count:,} brackets and commas, at most {MOST_PARTS:,} are read: send less"
        raise Rejected(Code.EVENT_INVALID, text)


def read_object(value: bytes) -> Mapping[str, object]:
    """The object that the value is, but for its numbers; an empty one for any other value. Raises Rejected."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        message = f"the value is not JSON: byte {error.start} is not UTF-8; it starts {value[:24]!r}"
        raise Rejected(Code.EVENT_UNREADABLE, message) from None
    try:
        # Numbers are not read: Python refuses an integer of more than 4,300 digits.
        found = json.loads(text, object_pairs_hook=_fields, parse_int=len, parse_float=len, parse_constant=len)
    except RecursionError:
        message = "the value (JSON) is nested too deeply: no event has more than ten levels"
        raise Rejected(Code.EVENT_UNREADABLE, message) from None
    except ValueError:
        raise Rejected(Code.EVENT_UNREADABLE, f"the value is not JSON: it starts {value[:24]!r}") from None
    return found if isinstance(found, dict) else {}


def _fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; raises Rejected when a name stands twice, since readers differ in which of the two counts."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Rejected(Code.EVENT_INVALID, f"{twice[:80]!r} stands twice in one object: send it once")
    if len(fields) > MOST_FIELDS:
        message = f"an object has {len(fields):,} fields, at most {MOST_FIELDS:,} are read: send less"
        raise Rejected(Code.EVENT_INVALID, message)
    return fields
