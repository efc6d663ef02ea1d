"""Server errors: classify the gRPC errors of Qdrant as transient or permanent, and add the remedy."""

import re
from collections.abc import Mapping
from enum import Enum, auto

import grpc
from grpc import StatusCode
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from infra.config.errors import SettingsError
from infra.qdrant.contract import EngineError
from schemas.failures import Unavailable

REFUSED = (grpc.RpcError, ResourceExhaustedResponse)
"""The errors that the client raises when the server is unreachable or rejects a request."""


class ErrorMeaning(Enum):
    """The meaning of a gRPC status code for a request to Qdrant."""

    AWAY = auto()
    """This node does not answer, or cannot reach the others; another node may succeed."""
    SLOW = auto()
    """No answer in time; the next request goes to another node."""
    BUSY = auto()
    """The server requests a retry later."""
    AMBIGUOUS = auto()
    """A problem between nodes (transient), or a server fault; the message decides (see TRANSIENT_PATTERN)."""
    REQUEST = auto()
    """The request is invalid: ValueError."""
    MISSING = auto()
    """The collection does not exist (yet)."""
    KEY = auto()
    """The API key is wrong, or lacks the permission: SettingsError."""
    PORT = auto()
    """The answering service does not implement Qdrant's gRPC API: SettingsError."""
    FAULT = auto()
    """The server failed to execute the request: EngineError."""


MEANINGS: Mapping[StatusCode, ErrorMeaning] = {
    StatusCode.OK: ErrorMeaning.FAULT,  # never an error
    StatusCode.CANCELLED: ErrorMeaning.AWAY,  # by a server that is stopping
    StatusCode.UNKNOWN: ErrorMeaning.AMBIGUOUS,
    StatusCode.INVALID_ARGUMENT: ErrorMeaning.REQUEST,
    StatusCode.DEADLINE_EXCEEDED: ErrorMeaning.SLOW,
    StatusCode.NOT_FOUND: ErrorMeaning.MISSING,
    StatusCode.ALREADY_EXISTS: ErrorMeaning.FAULT,
    StatusCode.PERMISSION_DENIED: ErrorMeaning.KEY,
    StatusCode.UNAUTHENTICATED: ErrorMeaning.KEY,
    StatusCode.RESOURCE_EXHAUSTED: ErrorMeaning.BUSY,  # a rate limit
    StatusCode.FAILED_PRECONDITION: ErrorMeaning.BUSY,  # locked by an operator, or a replica is recovering
    StatusCode.ABORTED: ErrorMeaning.BUSY,
    StatusCode.OUT_OF_RANGE: ErrorMeaning.REQUEST,  # larger than the server accepts
    StatusCode.UNIMPLEMENTED: ErrorMeaning.PORT,
    StatusCode.INTERNAL: ErrorMeaning.AMBIGUOUS,
    StatusCode.UNAVAILABLE: ErrorMeaning.AWAY,
    StatusCode.DATA_LOSS: ErrorMeaning.FAULT,
}
"""The meaning of every gRPC status code."""

TRANSIENT_PATTERN = re.compile(
    "replica|leader|peer|consensus|local shard|transport|connect|stream removed|retry|timed out|cancell?ed"
    "|no space left|out of memory",
    re.IGNORECASE,
)
"""Qdrant returns INTERNAL both for its own faults and while its nodes cannot reach each other, agree on a leader,
or have no space for a write. The latter are transient, and their messages match this pattern."""


class CollectionMissing(Unavailable):
    """The collection does not exist (yet)."""


def meaning_of(error: Exception) -> ErrorMeaning:
    """Return the meaning of one of REFUSED."""
    code = _code(error)
    meaning = MEANINGS.get(code, ErrorMeaning.FAULT)
    if meaning is ErrorMeaning.AMBIGUOUS:
        return ErrorMeaning.AWAY if TRANSIENT_PATTERN.search(_details(error)) else ErrorMeaning.FAULT
    if code is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in _details(error):
        return ErrorMeaning.REQUEST  # gRPC's own message for a request over its size limit
    return meaning


def reason_of(error: Exception) -> str:
    """Return the status code and message of one of REFUSED, on one line."""
    return f"{_code(error).name}: {_details(error)}"


def translate(error: Exception, place: str) -> Exception:
    """Convert an error of the server at `place` to the exception of the Index contract, with the remedy."""
    reason = reason_of(error)
    match meaning_of(error):
        case ErrorMeaning.AWAY:
            return unreachable(f"Qdrant at {place} cannot be reached ({reason})")
        case ErrorMeaning.SLOW:
            return Unavailable(f"Qdrant at {place} does not answer in time ({reason}): it is overloaded or stuck")
        case ErrorMeaning.BUSY:
            return Unavailable(f"Qdrant at {place} cannot do it now ({reason})")
        case ErrorMeaning.REQUEST:
            return ValueError(f"Qdrant at {place} refuses the request: {_details(error)}")
        case ErrorMeaning.MISSING:
            return CollectionMissing(
                f"Qdrant at {place} does not have it, or not yet ({reason}): an index worker makes it, so start "
                "`lookstream up`, or check LOOKSTREAM_QDRANT_COLLECTION"
            )
        case ErrorMeaning.KEY:
            return SettingsError(
                f"LOOKSTREAM_QDRANT_API_KEY: Qdrant at {place} does not accept it for this ({reason}): set a key "
                "that may read and write the collection and its aliases"
            )
        case ErrorMeaning.PORT:
            return SettingsError(
                f"LOOKSTREAM_QDRANT_GRPC_PORT: what answers at {place} does not speak the gRPC of Qdrant "
                f"({reason}): give its gRPC port, 6334 unless it was changed"
            )
        case _:
            return EngineError(f"Qdrant at {place} failed at the request ({reason}): see its log")


def unreachable(problem: str) -> Unavailable:
    """Return the error for a server, or all nodes of a cluster, that do not answer, with the remedy."""
    return Unavailable(f"{problem}: start it, or check LOOKSTREAM_QDRANT_URL and LOOKSTREAM_QDRANT_GRPC_PORT")


def _code(error: Exception) -> StatusCode:
    if isinstance(error, ResourceExhaustedResponse):
        return StatusCode.RESOURCE_EXHAUSTED
    code = error.code() if isinstance(error, grpc.Call) else None
    return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN


def _details(error: Exception) -> str:
    details = error.details() if isinstance(error, grpc.Call) else str(error)
    return " ".join((details or "").split())
