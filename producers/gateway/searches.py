"""Searches over HTTP: ask and wait, or ask and come back."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from infra.metrics import GatewayMetrics
from producers.gateway.asking import Asking
from producers.gateway.bodies import LEASE
from producers.gateway.memory import Asked, Memory
from producers.gateway.names import IdempotencyKey, wire_id
from producers.gateway.problems import Problem, problems
from producers.gateway.reading import FORM, JSON, Fields, Parser, form_parts, json_bytes
from producers.gateway.records import check_record
from producers.gateway.tokens import check_access, permit, permit_use, tenant_in
from producers.gateway.uploads import Uploads
from schemas.envelope import Event, to_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import MAX_RECORD_BYTES

HTTP_OF = {"ok": 200, "no_match": 200, "rejected": 422, "expired": 503, "unavailable": 503}
"""The HTTP status for each status of a result. "No match" is an answer like any other; `expired` says that more is
asked than can be done, not that nobody answers (which is 504)."""
EVENTS = "text/event-stream"
SEARCH_BODY = {
    "required": True,
    "content": {
        JSON: {"schema": {"$ref": "#/components/schemas/SearchRequest"}},
        FORM: {
            "schema": {
                "type": "object",
                "required": ["picture"],
                "properties": {
                    "picture": {"type": "string", "format": "binary", "description": "JPEG, PNG or WebP"},
                    "request": {"type": "string", "description": "The rest of a SearchRequest, as JSON"},
                },
            }
        },
    },
}
FACETS_BODY = {
    "required": True,
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/FacetsRequest"}}},
}
Prefer = Annotated[str | None, Header(description="respond-async: 202 at once, with the address of the result")]
Accept = Annotated[str, Header(description=f"{EVENTS}: the result as a server-sent event")]


@dataclass(frozen=True)
class HttpResult:
    """A result as it leaves: its HTTP status, and its JSON."""

    status: int
    body: bytes

    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.body)


@dataclass(frozen=True)
class SearchDoor:
    """What searches need."""

    asking: Asking
    uploads: Uploads
    memory: Memory[HttpResult]
    most: int
    """Searches that are awaited at a time."""
    metrics: GatewayMetrics
    parser: Parser
    record_bytes: int = MAX_RECORD_BYTES

    def __post_init__(self) -> None:
        self.metrics.watch_in_flight(lambda: self.asking.in_flight)

    async def begin(self, request: Request, key: str | None) -> tuple[SearchRequest, Asked[HttpResult]]:
        """Ask once what a request asks; the search, and its answer. Raises Problem, Rejected, ValidationError."""
        self._check_load()
        fields, tenant = await self._fields(request)
        is_named = key is not None or "request_id" in fields
        fields = {"request_id": str(uuid.uuid4())} | fields | ({} if key is None else {"request_id": key})
        search = await self.parser.model(SearchRequest, fields)
        name = search.request_id
        sent = search.model_copy(update={"request_id": wire_id("search", tenant, name)}) if is_named else search
        check_record(Event(sent), sent.request_id, self.record_bytes)
        digest = await self.parser.digest(fields)
        request.scope[LEASE].release()
        return search, self.memory.ask((tenant, name), digest, partial(self._ask, sent, name))

    async def count(self, request: Request, fields: Fields) -> FacetsResult:
        """The counts that a facets request asks for. Raises Problem, ValidationError, Unavailable."""
        self._check_load()
        tenant = tenant_in(fields)
        check_access(request.scope, ("search",), tenant)
        named = await self.parser.model(FacetsRequest, {"request_id": str(uuid.uuid4())} | fields)
        sent = named.model_copy(update={"request_id": str(uuid.uuid4())})
        result = await self.asking.count(sent)
        return result.model_copy(update={"request_id": named.request_id})

    def _check_load(self) -> None:
        if self.asking.in_flight >= self.most:
            raise Problem(503, f"{self.most} searches are on their way already: ask again", {"Retry-After": "1"})

    async def _ask(self, search: SearchRequest, name: str) -> HttpResult:
        result = await self.asking.search(search)
        self.metrics.result(result.status)
        return HttpResult(HTTP_OF[result.status], to_bytes(result.model_copy(update={"request_id": name})))

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


def search_routes(door: SearchDoor) -> APIRouter:
    """The routes of searches and of facets."""
    routes = APIRouter(prefix="/v1", tags=["searches"], dependencies=[permit_use("search")])

    @routes.post(
        "/search",
        response_model=SearchResult,
        responses=_results(415) | _ACCEPTED,
        openapi_extra={"requestBody": SEARCH_BODY},
    )
    async def search(
        request: Request, idempotency_key: IdempotencyKey = None, prefer: Prefer = None, accept: Accept = ""
    ) -> Response:
        """Find items that look like a picture, or like an item that is indexed already."""
        asked, answer = await door.begin(request, idempotency_key)
        if "respond-async" in (prefer or ""):
            where = f"/v1/searches/{asked.request_id}?tenant={asked.tenant}"
            return JSONResponse({"request_id": asked.request_id, "result": where}, 202, {"Location": where})
        return await _answered(asked.request_id, answer, accept)

    @routes.get("/searches/{name}", response_model=SearchResult, responses=_results(404))
    async def result(name: str, tenant: Annotated[str, permit("search")], accept: Accept = "") -> Response:
        """The result of a search that was asked before; waits for it, or tells it as a server-sent event."""
        return await _answered(name, door.memory.find((tenant, name)), accept)

    @routes.post("/facets", responses=problems(413, 415, 504), openapi_extra={"requestBody": FACETS_BODY})
    async def facets(request: Request) -> FacetsResult:
        """Count the items that pass some filters, by their values of some fields."""
        return await door.count(request, await door.parser.fields(await json_bytes(request)))

    @routes.get("/facets", responses=problems(504))
    async def all_facets(request: Request, tenant: Annotated[str, permit("search")]) -> FacetsResult:
        """Count all items of a tenant, by category, colour, brand and source."""
        return await door.count(request, {"tenant": tenant})

    return routes


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The search is on its way, with `Prefer: respond-async`",
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "required": ["request_id", "result"],
                    "properties": {"request_id": {"type": "string"}, "result": {"type": "string"}},
                }
            }
        },
    }
}


def _results(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of routes that answer with results, some of which tell that nothing could be found."""
    found = problems(*statuses, 504)
    for status in set(HTTP_OF.values()) - {200}:
        result = {"schema": {"$ref": "#/components/schemas/SearchResult"}}
        found[status] = {**found[status], "content": {**found[status]["content"], JSON: result}}
    return found | {200: {"content": {EVENTS: {}}}}


async def _answered(name: str, asked: Asked[HttpResult], accept: str) -> Response:
    if EVENTS in accept:
        return StreamingResponse(_events(name, asked), media_type=EVENTS)
    result = await asked.outcome()
    later = {"Retry-After": "1"} if result.status == 503 else None
    return Response(result.body, result.status, later, media_type=JSON)


async def _events(name: str, asked: Asked[HttpResult]) -> AsyncIterator[bytes]:
    yield f"event: asked\ndata: {json.dumps({'request_id': name})}\n\n".encode()
    try:
        yield b"event: result\ndata: " + (await asked.outcome()).body + b"\n\n"
    except Unavailable as away:  # the headers have left: a problem cannot be the response any more
        yield f"event: problem\ndata: {json.dumps({'detail': str(away)})}\n\n".encode()
