"""A control: `lookstream` whose workers crash at a record that is not a valid event. Same arguments."""

from collections.abc import Mapping
from unittest.mock import patch

from consumers.runtime import parsing
from lookstream.__main__ import main
from schemas.envelope import Event, from_record
from schemas.failures import Rejected


def parse_or_crash(
    position: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes | None], timestamp_ms: int
) -> Event:
    """The event of a record; raises RuntimeError, which ends the worker, if there is none."""
    try:
        return from_record(position, key, value, headers, timestamp_ms)
    except Rejected as rejected:
        raise RuntimeError("nobody expected this") from rejected


if __name__ == "__main__":
    with patch.object(parsing, "from_record", parse_or_crash):
        main()
