"""Names that callers choose for their requests, and the ids under which these travel over Kafka."""

from hashlib import sha256
from typing import Annotated

from fastapi import Header

READABLE, DIGEST = 31, 32
"""Letters of an id: it begins as the name does, for whoever looks for it in a log."""

IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="To send twice safely: a name for the request"),
]


def wire_id(kind: str, tenant: str, name: str) -> str:
    """The id of what a tenant calls by a name: the same in every process, and no other tenant's."""
    digest = sha256("\0".join((kind, tenant, name)).encode()).hexdigest()
    return f"{name[:READABLE]}.{digest[:DIGEST]}"
