"""Request ids: map the name that a client gives its request to the id of the Kafka event."""

from hashlib import sha256
from typing import Annotated

from fastapi import Header

PREFIX_LENGTH, DIGEST_LENGTH = 31, 32
"""Characters of the name and of its digest in an id. An id starts with the name so that it can be found in logs."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Id of the request, chosen by the client: a repeated request gets the same answer. "
        "1 to 64 letters, digits, _ . or -",
    ),
]


def wire_id(kind: str, tenant: str, name: str) -> str:
    """The event id for a name chosen by a tenant: equal in every process, and different for every tenant."""
    digest = sha256("\0".join((kind, tenant, name)).encode()).hexdigest()
    return f"{name[:PREFIX_LENGTH]}.{digest[:DIGEST_LENGTH]}"
