"""Searches over HTTP: each is asked once, whichever gateway hears of it, and its answer is found by all of them."""

import asyncio
import uuid
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from infra.client.async_search_client import AsyncSearchClient
from infra.client.search_client import GRACE_SECONDS, NoAnswer, no_answer
from infra.metrics import GatewayMetrics
from producers.gateway.bodies import LEASE
from producers.gateway.claims import CLAIM_SECONDS, ClaimRegister, RequestClaim
from producers.gateway.idempotency import IdempotencyCache, RememberedRequest
from producers.gateway.names import wire_id
from producers.gateway.problem_details import Problem
from producers.gateway.recall import AnswerReader
from producers.gateway.records import check_record
from producers.gateway.request_body import Fields, Parser, digest_of, form_parts, json_bytes, model_of, size_of
from producers.gateway.tokens import check_access, tenant_in
from producers.gateway.uploads import Uploads
from schemas.envelope import Event, to_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import MAX_RECORD_BYTES

HTTP_OF = {"ok": 200, "no_match": 200, "rejected": 422, "expired": 503, "unavailable": 503}
"""The HTTP status for each status of a result. "No match" is an answer like any other; `expired` says that more is
asked than can be done, not that nobody answers (which is 504)."""


@dataclass(frozen=True)
class HttpResult:
    """A result as it leaves: its HTTP status, and its JSON."""

    status: int
    body: bytes

    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.body)


@dataclass(frozen=True)
class SearchLimits:
    """How much is taken."""

    in_flight: int
    """Searches that are awaited at a time."""
    record_bytes: int = MAX_RECORD_BYTES


@dataclass(frozen=True)
class SearchService:
    """What searches need."""

    asking: AsyncSearchClient
    uploads: Uploads
    memory: IdempotencyCache[HttpResult]
    claims: ClaimRegister
    recall: AnswerReader
    limits: SearchLimits
    metrics: GatewayMetrics
    parser: Parser

    def __post_init__(self) -> None:
        self.metrics.watch_in_flight(lambda: self.asking.in_flight)

    async def begin(
        self, request: Request, key: str | None, *, is_async: bool
    ) -> tuple[str, str, RememberedRequest[HttpResult]]:
        """Ask once what a request asks; its tenant, name and answer. Raises Problem, Rejected, ValidationError."""
        self._check_load()
        fields, tenant = await self._fields(request)
        is_known_elsewhere = is_async or key is not None or "request_id" in fields
        fields = {"request_id": str(uuid.uuid4())} | fields | ({} if key is None else {"request_id": key})
        named, sent, digest = await self.parser.run(size_of(fields), partial(self._prepare, fields))
        request.scope[LEASE].release()
        ask = (
            partial(self._ask_once, sent, _claim(named, sent, digest))
            if is_known_elsewhere
            else partial(self._ask, sent, named.request_id)
        )
        return tenant, named.request_id, self.memory.ask((tenant, named.request_id), digest, ask)

    async def find(self, tenant: str, name: str) -> RememberedRequest[HttpResult]:
        """A search that this gateway or another one was asked; raises Problem when there is none."""
        if (known := self.memory.find((tenant, name))) is not None:
            return known
        claim = await self.claims.find("search", tenant, name)
        if claim is None:
            raise Problem(404, f"nothing was asked as `{name[:64]}` in the last {CLAIM_SECONDS / 60:g} minutes")
        return self.memory.ask((tenant, name), bytes.fromhex(claim.digest), partial(self._recall, claim))

    async def count(self, request: Request, fields: Fields) -> FacetsResult:
        """The counts that a facets request asks for. Raises Problem, ValidationError, Unavailable."""
        self._check_load()
        tenant = tenant_in(fields)
        check_access(request.scope, ("search",), tenant)
        whole = {"request_id": str(uuid.uuid4())} | fields
        named = await self.parser.run(size_of(fields), partial(model_of, FacetsRequest, whole))
        sent = named.model_copy(update={"request_id": str(uuid.uuid4())})
        result = await self.asking.count(sent)
        return result.model_copy(update={"request_id": named.request_id})

    def _prepare(self, fields: Fields) -> tuple[SearchRequest, SearchRequest, bytes]:
        """A search as its caller knows it, as it is sent, and what tells it from others. Raises Problem,
        ValidationError."""
        named = model_of(SearchRequest, fields)
        sent = named.model_copy(update={"request_id": wire_id("search", named.tenant, named.request_id)})
        check_record(Event(sent), sent.request_id, self.limits.record_bytes)
        return named, sent, digest_of(fields)

    def _check_load(self) -> None:
        most = self.limits.in_flight
        if self.asking.in_flight >= most:
            raise Problem(503, f"{most} searches are on their way already: ask again", {"Retry-After": "1"})

    async def _ask(self, search: SearchRequest, name: str, accepted: asyncio.Event) -> HttpResult:
        accepted.set()
        result = await self.asking.search(search)
        self.metrics.result(result.status)
        return _http_result(result, name)

    async def _ask_once(self, search: SearchRequest, mine: RequestClaim, accepted: asyncio.Event) -> HttpResult:
        """Ask, unless this or another gateway has under the same name, and was answered or still may be."""
        first = await self.claims.claim(mine)
        accepted.set()
        while first.owner != mine.owner:
            if (found := await self.recall.answer(first)) is not None:
                return _http_result(found, mine.name)
            mine = mine.anew(instead_of=first)
            first = await self.claims.claim(mine)
        return await self._ask(search, mine.name, accepted)

    async def _recall(self, claim: RequestClaim, accepted: asyncio.Event) -> HttpResult:
        accepted.set()
        found = await self.recall.answer(claim)
        if found is None:
            raise NoAnswer(no_answer(claim.name, GRACE_SECONDS))
        return _http_result(found, claim.name)

    async def _fields(self, request: Request) -> tuple[Fields, str]:
        """The fields of a search, and its tenant, which the token is for."""
        form = await form_parts(request, "request", 1)
        fields = await self.parser.fields(await json_bytes(request) if form is None else form[0])
        tenant = tenant_in(fields)
        check_access(request.scope, ("search",), tenant)
        if form is not None:
            picture = await self.uploads.picture(form[1][0])
            fields["image"] = picture.model_dump(mode="json")
        return fields, tenant


def _claim(named: SearchRequest, sent: SearchRequest, digest: bytes) -> RequestClaim:
    return RequestClaim(
        kind="search",
        tenant=named.tenant,
        name=named.request_id,
        digest=digest.hex(),
        wire_id=sent.request_id,
        deadline_ms=named.deadline_ms,
    )


def _http_result(result: SearchResult, name: str) -> HttpResult:
    """A result under the name that its caller knows."""
    return HttpResult(HTTP_OF[result.status], to_bytes(result.model_copy(update={"request_id": name})))
