"""Claims: named requests on a topic that every gateway reads, so that a repeated request is sent only once.

A gateway that receives a named request writes a claim, and waits until it has read the claim back. In the order of
the topic, the first claim of a name is valid for ten minutes in every gateway; requests of the same name join it.
"""

import asyncio
import threading
import time
import uuid
from collections import OrderedDict
from concurrent.futures import Future
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.client.topic_listener import TopicListener
from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, OutgoingRecord, Record, TopicReader, read_to_end
from producers.gateway.names import wire_id
from producers.gateway.problem_details import Problem
from schemas.failures import Unavailable
from schemas.topics import GATEWAY_CLAIMS

CLAIM_SECONDS = 600.0
"""How long a claim is valid: as long as Kafka retains the results of searches."""
MAX_CLAIMS = 50_000
"""Claims kept in memory; the newest ones."""
READ_BACK_SECONDS = 10.0
"""Timeout for reading an own claim back from the topic."""
LAG_SECONDS = 1.0
"""How long to wait for a claim of another gateway to arrive here."""
SENDING_SECONDS = 5.0
"""How long to wait for another gateway to send a claimed item event, before this one sends it too."""
POLL_SECONDS = 0.05

Kind = Literal["search", "item"]


class RequestClaim(BaseModel):
    """A named request; the value of a record of the claims topic."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    tenant: str
    name: str
    digest: str
    """SHA-256 of the request's fields, in hex; a request with another digest under the same name is refused."""
    wire_id: str
    """The id of the request, or of the item event, on its topic."""
    owner: str = Field(default_factory=lambda: uuid.uuid4().hex)
    """Unique id of this claim among those of the same name."""
    at_ms: int = Field(default_factory=lambda: time.time_ns() // 1_000_000, ge=0)
    deadline_ms: int = Field(0, ge=0, le=60_000)
    """Milliseconds after `at_ms` within which a search may be answered."""
    revision: int = 0
    """Revision of the item event, which must be the same when the event is sent again under its name."""
    done: bool = False
    """Whether the item event has been sent."""
    instead_of: str = ""
    """Owner of an unanswered claim that this one replaces."""

    def renewed(self, instead_of: "RequestClaim") -> "RequestClaim":
        """A copy of this claim with the present time, which replaces an unanswered one."""
        identity = {"owner": uuid.uuid4().hex, "at_ms": time.time_ns() // 1_000_000}
        return self.model_copy(update={**identity, "instead_of": instead_of.owner})

    @property
    def key(self) -> str:
        """Record key, which all claims of a name share."""
        return wire_id(self.kind, self.tenant, self.name)

    def replaces(self, other: "RequestClaim") -> bool:
        """Whether this later claim replaces `other`; every gateway decides the same from the order of the topic."""
        if other.owner == self.owner:
            return self.done
        return self.instead_of == other.owner or self.at_ms - other.at_ms > CLAIM_SECONDS * 1000


class ClaimRegister:
    """Writes claims, and follows those of all gateways; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._claims: OrderedDict[str, RequestClaim] = OrderedDict()
        self._pending: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        reader = TopicReader(kafka, GATEWAY_CLAIMS)  # opened first, so that no record is missed after read_to_end
        # Twice as far back as claims are valid, so that all gateways agree which claim was first.
        for record in read_to_end(kafka, [GATEWAY_CLAIMS], int((time.time() - 2 * CLAIM_SECONDS) * 1000)):
            self._read_record(record)
        self._sink = EventSink(kafka, LOW_LATENCY_DELIVERY)
        self._listener = TopicListener(reader, self._read_record)

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the listener; None while it runs."""
        return self._listener.failure

    async def claim(self, claim: RequestClaim) -> RequestClaim:
        """The valid claim of a name: this one, or an earlier one.

        Raises Unavailable, and Problem (422) if another request was sent under the name.
        """
        valid = self._find(claim.key)
        if valid is None or claim.instead_of == valid.owner:
            valid = await self._write(claim)
        if valid.digest != claim.digest:
            message = f"the id `{claim.name}` belongs to another request: give each request its own id"
            raise Problem(422, message)
        return valid

    async def _write(self, claim: RequestClaim) -> RequestClaim:
        read_back: Future[None] = Future()
        with self._lock:
            self._pending[claim.owner] = read_back
        try:
            await asyncio.to_thread(self._send, claim)
            await asyncio.wait_for(asyncio.wrap_future(read_back), READ_BACK_SECONDS)
        except TimeoutError:
            message = f"a claim did not come back from {GATEWAY_CLAIMS} within {READ_BACK_SECONDS:g} s"
            raise Unavailable(f"{message}: check the state of Kafka") from None
        finally:
            with self._lock:
                self._pending.pop(claim.owner, None)
        return self._find(claim.key) or claim

    async def finish(self, claim: RequestClaim) -> None:
        """Record on the topic that the claimed item event was sent. Raises Unavailable."""
        await asyncio.to_thread(self._send, claim.model_copy(update={"done": True}))

    async def is_finished(self, claim: RequestClaim) -> bool:
        """Whether a claimed item event was sent; waits for that for up to SENDING_SECONDS."""
        until = time.monotonic() + SENDING_SECONDS
        while (found := self._find(claim.key)) is not None and not found.done and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
        return found is not None and found.done

    async def find(self, kind: Kind, tenant: str, name: str) -> RequestClaim | None:
        """The valid claim of a name, if there is one; waits LAG_SECONDS for it."""
        until = time.monotonic() + LAG_SECONDS
        while (found := self._find(wire_id(kind, tenant, name))) is None and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
        return found

    def close(self) -> None:
        """Stop the listener, and close the connections to Kafka."""
        self._listener.close()
        self._sink.close()

    def _find(self, key: str) -> RequestClaim | None:
        with self._lock:
            claim = self._claims.get(key)
        is_expired = claim is None or time.time() - claim.at_ms / 1000 > CLAIM_SECONDS
        return None if is_expired else claim

    def _send(self, claim: RequestClaim) -> None:
        self._sink.send_record(OutgoingRecord(GATEWAY_CLAIMS, claim.key.encode(), claim.model_dump_json().encode()))
        self._sink.flush()

    def _read_record(self, record: Record) -> None:
        try:
            claim = RequestClaim.model_validate_json(record.value or b"")
        except ValidationError:
            return  # from another version, or not a claim
        if claim.at_ms > (time.time() + CLAIM_SECONDS) * 1000:
            return  # implausible for a gateway's clock, and the claim would never expire
        with self._lock:
            known = self._claims.get(claim.key)
            if known is None or claim.replaces(known):
                self._claims[claim.key] = claim
                self._claims.move_to_end(claim.key)
            while len(self._claims) > MAX_CLAIMS:
                self._claims.popitem(last=False)
            read_back = self._pending.pop(claim.owner, None)
        if read_back is not None and read_back.set_running_or_notify_cancel():
            read_back.set_result(None)
