"""Whether what a caller sends fits a Kafka record."""

from collections.abc import Sequence

from producers.gateway.problem_details import Problem
from schemas.envelope import Event, to_bytes, to_headers

AROUND_BYTES = 2_000
"""What a record takes beyond its key, value and headers, with what tracing adds."""


def check_record(event: Event, key: str, most: int) -> None:
    """Raise Problem (413) unless an event fits a record of `most` bytes."""
    headers: Sequence[tuple[str, str]] = list(to_headers(event).items())
    around = AROUND_BYTES + len(key.encode()) + sum(len(name) + len(value) for name, value in headers)
    size = len(to_bytes(event.body)) + around
    if size > most:
        raise Problem(
            413, f"as a Kafka record this has {size} bytes, and may have {most}: send smaller or fewer pictures"
        )
