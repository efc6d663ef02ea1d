"""Search service: send each named search once across all gateways, and return its result from any of them."""

import asyncio
import uuid
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from infra.client.async_search_client import AsyncSearchClient
from infra.client.reply_router import GRACE_SECONDS, no_answer
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

HTTP_STATUS = {"ok": 200, "no_match": 200, "rejected": 422, "expired": 503, "unavailable": 503}
"""HTTP status for each status of a result. `no_match` is a normal answer; `expired` means that the load is too
high, not that no worker answers (which is 504)."""


@dataclass(frozen=True)
class HttpResult:
    """A result as an HTTP status and a JSON body."""

    status: int
    body: bytes

    def size(self) -> int:
        """Size of the body in bytes."""
        return len(self.body)


@dataclass(frozen=True)
class SearchLimits:
    """Limits of accepted searches."""

    in_flight: int
    """Searches that may wait for their result at a time."""
    record_bytes: int = MAX_RECORD_BYTES


@dataclass(frozen=True)
class SearchService:
    """Sends searches and facet requests for the routes, and finds their results."""

    client: AsyncSearchClient
    uploads: Uploads
    cache: IdempotencyCache[HttpResult]
    claims: ClaimRegister
    answers: AnswerReader
    limits: SearchLimits
    metrics: GatewayMetrics
    parser: Parser

    def __post_init__(self) -> None:
        self.metrics.watch_in_flight(lambda: self.client.in_flight)

    async def begin(
        self, request: Request, key: str | None, *, is_async: bool
    ) -> tuple[str, str, RememberedRequest[HttpResult]]:
        """Send the search in a request once; returns its tenant, name and pending answer.

        Raises Problem, Rejected, ValidationError.
        """
        self._check_load()
        fields, tenant = await self._fields(request)
        is_shared = is_async or key is not None or "request_id" in fields
        fields = {"request_id": str(uuid.uuid4())} | fields | ({} if key is None else {"request_id": key})
        named, sent, digest = await self.parser.run(size_of(fields), partial(self._prepare, fields))
        request.scope[LEASE].release()
        send = (
            partial(self._send_once, sent, _claim(named, sent, digest))
            if is_shared
            else partial(self._send, sent, named.request_id)
        )
        return tenant, named.request_id, self.cache.get_or_send((tenant, named.request_id), digest, send)

    async def find(self, tenant: str, name: str) -> RememberedRequest[HttpResult]:
        """A search sent by this gateway or another one; raises Problem (404) if there is none."""
        if (cached := self.cache.find((tenant, name))) is not None:
            return cached
        claim = await self.claims.find("search", tenant, name)
        if claim is None:
            raise Problem(404, f"no request had the id `{name[:64]}` in the last {CLAIM_SECONDS / 60:g} minutes")
        return self.cache.get_or_send(
            (tenant, name), bytes.fromhex(claim.digest), partial(self._read_answer, claim)
        )

    async def count(self, request: Request, fields: Fields) -> FacetsResult:
        """Answer a facets request. Raises Problem, ValidationError, Unavailable."""
        self._check_load()
        tenant = tenant_in(fields)
        check_access(request.scope, ("search",), tenant)
        whole = {"request_id": str(uuid.uuid4())} | fields
        named = await self.parser.run(size_of(fields), partial(model_of, FacetsRequest, whole))
        sent = named.model_copy(update={"request_id": str(uuid.uuid4())})
        result = await self.client.count(sent)
        return result.model_copy(update={"request_id": named.request_id})

    def _prepare(self, fields: Fields) -> tuple[SearchRequest, SearchRequest, bytes]:
        """A search under the client's id, the same under its event id, and the digest of its fields.

        Raises Problem, ValidationError.
        """
        named = model_of(SearchRequest, fields)
        sent = named.model_copy(update={"request_id": wire_id("search", named.tenant, named.request_id)})
        check_record(Event(sent), sent.request_id, self.limits.record_bytes)
        return named, sent, digest_of(fields)

    def _check_load(self) -> None:
        limit = self.limits.in_flight
        if self.client.in_flight >= limit:
            raise Problem(503, f"{limit} searches are already in progress: try again", {"Retry-After": "1"})

    async def _send(self, search: SearchRequest, name: str, accepted: asyncio.Event) -> HttpResult:
        accepted.set()
        result = await self.client.search(search)
        self.metrics.result(result.status)
        return _http_result(result, name)

    async def _send_once(self, search: SearchRequest, own: RequestClaim, accepted: asyncio.Event) -> HttpResult:
        """Send the search, unless a gateway sent it under the same name and its answer exists or may still come."""
        first = await self.claims.claim(own)
        accepted.set()
        while first.owner != own.owner:
            if (result := await self.answers.answer(first)) is not None:
                return _http_result(result, own.name)
            own = own.renewed(instead_of=first)
            first = await self.claims.claim(own)
        return await self._send(search, own.name, accepted)

    async def _read_answer(self, claim: RequestClaim, accepted: asyncio.Event) -> HttpResult:
        accepted.set()
        result = await self.answers.answer(claim)
        if result is None:
            raise no_answer(claim.name, GRACE_SECONDS)
        return _http_result(result, claim.name)

    async def _fields(self, request: Request) -> tuple[Fields, str]:
        """The fields of a search, and its tenant, after a check that the token covers it."""
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
    """A result under the id that the client knows."""
    return HttpResult(HTTP_STATUS[result.status], to_bytes(result.model_copy(update={"request_id": name})))
