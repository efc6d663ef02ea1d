"""Claims: what callers asked by a name, on a topic that every gateway reads, so that all of them know it.

Whoever is asked something by a name writes a claim, and waits until it has read it back. The first claim of a name
in the order of the topic counts for ten minutes, in every gateway: the others join it, wherever they were asked.
"""

import asyncio
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.client.topic_listener import TopicListener
from infra.config.settings import KafkaSettings
from infra.kafka import SOON, EventSink, OutgoingRecord, Record, TopicReader, read_to_end
from producers.gateway.names import wire_id
from producers.gateway.problem_details import Problem
from schemas.failures import Unavailable
from schemas.topics import GATEWAY_CLAIMS

CLAIM_SECONDS = 600.0
"""For so long a claim counts: as long as Kafka keeps the results of searches."""
MOST = 50_000
"""Claims that are remembered: the newest ones."""
READ_BACK_SECONDS = 10.0
"""How long a claim may take to come back."""
LAG_SECONDS = 1.0
"""How long another gateway's claim may take to get here: it is looked for again until then."""
SENDING_SECONDS = 5.0
"""How long another gateway may take to send an item event, before it is sent again."""
LOOK_SECONDS = 0.05

Kind = Literal["search", "item"]


class RequestClaim(BaseModel):
    """What was asked by a name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    tenant: str
    name: str
    digest: str
    """Of what was asked, in hex: something else by the same name is refused."""
    wire_id: str
    """The id of the request, or of the item event, on its topic."""
    owner: str = Field(default_factory=lambda: uuid.uuid4().hex)
    """Tells this claim from others of the same name."""
    at_ms: int = Field(default_factory=lambda: time.time_ns() // 1_000_000, ge=0)
    deadline_ms: int = Field(0, ge=0, le=60_000)
    """How long after `at_ms` a search may be answered."""
    revision: int = 0
    """Of the item event: sent again under its name it must have the same."""
    done: bool = False
    """Whether the item event has been sent."""
    instead_of: str = ""
    """Owner of a claim that came to nothing, whose place this one takes."""

    def anew(self, instead_of: "RequestClaim") -> "RequestClaim":
        """The same claim made now, in the place of one that came to nothing."""
        fresh = {"owner": uuid.uuid4().hex, "at_ms": time.time_ns() // 1_000_000}
        return self.model_copy(update={**fresh, "instead_of": instead_of.owner})

    @property
    def key(self) -> str:
        """What claims of one name share."""
        return wire_id(self.kind, self.tenant, self.name)

    def replaces(self, other: "RequestClaim") -> bool:
        """Whether this claim, which came later, counts from now on: the same judgement in every gateway."""
        if other.owner == self.owner:
            return self.done
        return self.instead_of == other.owner or self.at_ms - other.at_ms > CLAIM_SECONDS * 1000


class ClaimRegister:
    """Makes claims, and knows those of all gateways; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[str, RequestClaim] = OrderedDict()
        self._waiting: dict[str, Future[None]] = {}
        self._turn = threading.Lock()
        reader = TopicReader(kafka, GATEWAY_CLAIMS)  # first, so that nothing comes between it and what follows
        # Twice as far back as claims count, so that all gateways agree which one was first.
        for record in read_to_end(kafka, [GATEWAY_CLAIMS], int((clock() - 2 * CLAIM_SECONDS) * 1000)):
            self._take(record)
        self._sink = EventSink(kafka, SOON)
        self._follower = TopicListener(reader, self._take)

    @property
    def failure(self) -> BaseException | None:
        """What has ended the reading of claims; None while they are read."""
        return self._follower.failure

    async def claim(self, claim: RequestClaim) -> RequestClaim:
        """The claim that counts for a name: this one, or one that was first.

        Raises Unavailable, and Problem when something else was asked by the name.
        """
        known = self._find(claim.key)
        if known is None or claim.instead_of == known.owner:
            known = await self._make(claim)
        if known.digest != claim.digest:
            message = f"something else was asked as `{claim.name}` before: give each request an id of its own"
            raise Problem(422, message)
        return known

    async def _make(self, claim: RequestClaim) -> RequestClaim:
        read_back: Future[None] = Future()
        with self._turn:
            self._waiting[claim.owner] = read_back
        try:
            await asyncio.to_thread(self._send, claim)
            await asyncio.wait_for(asyncio.wrap_future(read_back), READ_BACK_SECONDS)
        except TimeoutError:
            message = f"a claim did not come back from {GATEWAY_CLAIMS} within {READ_BACK_SECONDS:g} s"
            raise Unavailable(f"{message}: see how Kafka fares") from None
        finally:
            with self._turn:
                self._waiting.pop(claim.owner, None)
        return self._find(claim.key) or claim

    async def finish(self, claim: RequestClaim) -> None:
        """Let all gateways know that an item event was sent. Raises Unavailable."""
        await asyncio.to_thread(self._send, claim.model_copy(update={"done": True}))

    async def is_finished(self, claim: RequestClaim) -> bool:
        """Whether an item event was sent, by whoever claimed it; waits for that for a while."""
        until = time.monotonic() + SENDING_SECONDS
        while (found := self._find(claim.key)) is not None and not found.done and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        return found is not None and found.done

    async def find(self, kind: Kind, tenant: str, name: str) -> RequestClaim | None:
        """The claim that counts for a name, if there is one."""
        until = time.monotonic() + LAG_SECONDS
        while (found := self._find(wire_id(kind, tenant, name))) is None and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        return found

    def close(self) -> None:
        """Let go of the broker."""
        self._follower.close()
        self._sink.close()

    def _find(self, key: str) -> RequestClaim | None:
        with self._turn:
            claim = self._known.get(key)
        is_over = claim is None or self._clock() - claim.at_ms / 1000 > CLAIM_SECONDS
        return None if is_over else claim

    def _send(self, claim: RequestClaim) -> None:
        self._sink.send_record(OutgoingRecord(GATEWAY_CLAIMS, claim.key.encode(), claim.model_dump_json().encode()))
        self._sink.flush()

    def _take(self, record: Record) -> None:
        try:
            claim = RequestClaim.model_validate_json(record.value or b"")
        except ValidationError:
            return  # of another version, or none of ours
        if claim.at_ms > (self._clock() + CLAIM_SECONDS) * 1000:
            return  # no gateway's clock is so far ahead, and it would count for ever
        with self._turn:
            known = self._known.get(claim.key)
            if known is None or claim.replaces(known):
                self._known[claim.key] = claim
                self._known.move_to_end(claim.key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
            read_back = self._waiting.pop(claim.owner, None)
        if read_back is not None and read_back.set_running_or_notify_cancel():
            read_back.set_result(None)
