"""JSON limits: reject oversized or malformed record values at little cost, before pydantic validates them.

Pydantic is slow on values that are large and invalid: half a million unknown fields cost seconds and some hundred
megabytes, because each field is an error. The limits are far above the largest event and far below such a value.
"""

import json
from collections import Counter
from collections.abc import Mapping

from schemas.failures import Code, Rejected

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_FIELDS = 10_000
"""Maximum number of fields of one object."""
MOST_PARTS = 100_000
"""Maximum number of opening brackets, opening braces and commas. For comparison, the texts of the largest item
event have 65,000 characters in total."""


def check_parts(value: bytes) -> None:
    """Raise Rejected if a value has more brackets, braces and commas than any event can have."""
    count = sum(map(value.count, (b"[", b"{", b",")))
    if count > MOST_PARTS:
        message = f"the value (JSON) has {count:,} brackets and commas, at most {MOST_PARTS:,} are read: send less"
        raise Rejected(Code.EVENT_INVALID, message)


def read_object(value: bytes) -> Mapping[str, object]:
    """Parse a JSON object without its numbers; any other JSON value gives an empty object. Raises Rejected."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        message = f"the value is not JSON: byte {error.start} is not UTF-8; it starts {value[:24]!r}"
        raise Rejected(Code.EVENT_UNREADABLE, message) from None
    try:
        # Numbers are not parsed, because Python refuses integers of more than 4,300 digits.
        parsed = json.loads(
            text, object_pairs_hook=_unique_fields, parse_int=len, parse_float=len, parse_constant=len
        )
    except RecursionError:
        message = "the value (JSON) is nested too deeply: no event has more than ten levels"
        raise Rejected(Code.EVENT_UNREADABLE, message) from None
    except ValueError:
        raise Rejected(Code.EVENT_UNREADABLE, f"the value is not JSON: it starts {value[:24]!r}") from None
    return parsed if isinstance(parsed, dict) else {}


def _unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; raises Rejected if a name occurs twice, because JSON parsers differ in which they use."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Rejected(Code.EVENT_INVALID, f"{duplicate[:80]!r} occurs twice in one object: send it once")
    if len(fields) > MOST_FIELDS:
        message = f"an object has {len(fields):,} fields, at most {MOST_FIELDS:,} are read: send less"
        raise Rejected(Code.EVENT_INVALID, message)
    return fields
