"""A control: `lookstream` whose workers end of a record that is no event; takes the same words."""

from collections.abc import Mapping
from unittest.mock import patch

from consumers.runtime import parsing
from lookstream.__main__ import main
from schemas.envelope import Event, from_record
from schemas.failures import Rejected


def trust(
    position: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes | None], timestamp_ms: int
) -> Event:
    """The event of a record, which must hold one."""
    try:
        return from_record(position, key, value, headers, timestamp_ms)
    except Rejected as rejected:
        raise RuntimeError("nobody expected this") from rejected


if __name__ == "__main__":
    with patch.object(parsing, "from_record", trust):
        main()
