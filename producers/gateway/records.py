"""Record size check: refuse events that are larger than a Kafka record may be."""

from collections.abc import Sequence

from producers.gateway.problem_details import Problem
from schemas.envelope import Event, to_bytes, to_headers

OVERHEAD_BYTES = 2_000
"""Bytes of a record besides its key, value and headers, including the headers that tracing adds."""


def check_record(event: Event, key: str, max_bytes: int) -> None:
    """Raise Problem (413) unless the event fits into a record of `max_bytes` bytes."""
    headers: Sequence[tuple[str, str]] = list(to_headers(event).items())
    overhead = OVERHEAD_BYTES + len(key.encode()) + sum(len(name) + len(value) for name, value in headers)
    size = len(to_bytes(event.body)) + overhead
    if size > max_bytes:
        raise Problem(
            413,
            f"as a Kafka record this has {size} bytes, the maximum is {max_bytes}: send smaller or fewer pictures",
        )
