"""What the errors of a Qdrant server mean: which pass by themselves, and what is to be done about the others."""

import re
from collections.abc import Mapping
from enum import Enum, auto

import grpc
from grpc import StatusCode
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from infra.config.settings import SettingsError
from infra.qdrant.contract import EngineError
from schemas.failures import Unavailable

REFUSED = (grpc.RpcError, ResourceExhaustedResponse)
"""What the client raises when the server is away or says no."""


class ErrorMeaning(Enum):
    """What an error code of gRPC says about a request to Qdrant."""

    AWAY = auto()
    """This node does not answer, or cannot reach the others: another node may do it."""
    SLOW = auto()
    """No answer in time: the next request goes to another node."""
    BUSY = auto()
    """The server asks to come back later."""
    EITHER = auto()
    """Trouble between nodes, or a fault of the server: its words decide (see PASSING)."""
    REQUEST = auto()
    """The request itself is wrong: ValueError."""
    MISSING = auto()
    """There is no such collection, or not yet."""
    KEY = auto()
    """The API key is wrong, or does not allow this: SettingsError."""
    PORT = auto()
    """What answers does not speak Qdrant's gRPC: SettingsError."""
    FAULT = auto()
    """The server fails at the request: EngineError."""


MEANINGS: Mapping[StatusCode, ErrorMeaning] = {
    StatusCode.OK: ErrorMeaning.FAULT,  # never an error
    StatusCode.CANCELLED: ErrorMeaning.AWAY,  # by a server that stops
    StatusCode.UNKNOWN: ErrorMeaning.EITHER,
    StatusCode.INVALID_ARGUMENT: ErrorMeaning.REQUEST,
    StatusCode.DEADLINE_EXCEEDED: ErrorMeaning.SLOW,
    StatusCode.NOT_FOUND: ErrorMeaning.MISSING,
    StatusCode.ALREADY_EXISTS: ErrorMeaning.FAULT,
    StatusCode.PERMISSION_DENIED: ErrorMeaning.KEY,
    StatusCode.UNAUTHENTICATED: ErrorMeaning.KEY,
    StatusCode.RESOURCE_EXHAUSTED: ErrorMeaning.BUSY,  # a rate limit
    StatusCode.FAILED_PRECONDITION: ErrorMeaning.BUSY,  # locked by an operator, or a replica that recovers
    StatusCode.ABORTED: ErrorMeaning.BUSY,
    StatusCode.OUT_OF_RANGE: ErrorMeaning.REQUEST,  # larger than the server takes
    StatusCode.UNIMPLEMENTED: ErrorMeaning.PORT,
    StatusCode.INTERNAL: ErrorMeaning.EITHER,
    StatusCode.UNAVAILABLE: ErrorMeaning.AWAY,
    StatusCode.DATA_LOSS: ErrorMeaning.FAULT,
}
"""Every code of gRPC."""

PASSING = re.compile(
    "replica|leader|peer|consensus|local shard|transport|connect|stream removed|retry|timed out|cancell?ed"
    "|no space left|out of memory",
    re.IGNORECASE,
)
"""Qdrant answers INTERNAL both for its own faults and while its nodes cannot reach each other, agree on a leader,
or have room for a write. The latter pass, and these words of it tell them."""


class CollectionMissing(Unavailable):
    """There is no such collection, or not yet."""


def meaning_of(error: Exception) -> ErrorMeaning:
    """What one of REFUSED means."""
    code = _code(error)
    meaning = MEANINGS.get(code, ErrorMeaning.FAULT)
    if meaning is ErrorMeaning.EITHER:
        return ErrorMeaning.AWAY if PASSING.search(_details(error)) else ErrorMeaning.FAULT
    if code is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in _details(error):
        return ErrorMeaning.REQUEST  # gRPC's own word for a message over its limit
    return meaning


def reason_of(error: Exception) -> str:
    """The code and the words of one of REFUSED, on one line."""
    return f"{_code(error).name}: {_details(error)}"


def translate(error: Exception, place: str) -> Exception:
    """The exception that callers of an Index expect, with the remedy; for an error of the server at `place`."""
    reason = reason_of(error)
    match meaning_of(error):
        case ErrorMeaning.AWAY:
            return away(f"Qdrant at {place} is away ({reason})")
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


def away(what: str) -> Unavailable:
    """That a server, or all nodes of a cluster, do not answer, with the remedy."""
    return Unavailable(f"{what}: start it, or check LOOKSTREAM_QDRANT_URL and LOOKSTREAM_QDRANT_GRPC_PORT")


def _code(error: Exception) -> StatusCode:
    if isinstance(error, ResourceExhaustedResponse):
        return StatusCode.RESOURCE_EXHAUSTED
    code = error.code() if isinstance(error, grpc.Call) else None
    return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN


def _details(error: Exception) -> str:
    details = error.details() if isinstance(error, grpc.Call) else str(error)
    return " ".join((details or "").split())
