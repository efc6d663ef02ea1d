"""Searches over HTTP: ask and wait, or ask and come back."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from infra.metrics import GatewayMetrics
from producers.gateway.asking import Asking
from producers.gateway.memory import Asked, Memory
from producers.gateway.problems import Problem
from producers.gateway.reading import form_fields, json_object
from producers.gateway.uploads import Uploads
from schemas.envelope import to_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest

HTTP_OF = {"ok": 200, "no_match": 200, "rejected": 422, "expired": 503, "unavailable": 503}
"""The HTTP status for each status of a result. "No match" is an answer like any other; `expired` says that more is
asked than can be done, not that nobody answers (which is 504)."""
SEARCH_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/SearchRequest"}},
        "multipart/form-data": {
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
Key = Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="To ask twice safely: its id")]
Prefer = Annotated[str | None, Header(description="respond-async: 202 at once, with the address of the result")]


@dataclass(frozen=True)
class Told:
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
    memory: Memory[Told]
    most: int
    """Searches that are awaited at a time."""
    metrics: GatewayMetrics

    def __post_init__(self) -> None:
        self.metrics.watch_in_flight(lambda: self.asking.in_flight)

    async def begin(self, request: Request, key: str | None) -> tuple[str, Asked[Told]]:
        """Ask what a request asks, once; its id, and the search. Raises Problem, Rejected, ValidationError."""
        if self.asking.in_flight >= self.most:
            raise Problem(503, f"{self.most} searches are on their way already: ask again", {"Retry-After": "1"})
        fields = await self._fields(request)
        if key is not None:
            fields["request_id"] = key
        fields.setdefault("request_id", str(uuid.uuid4()))
        search = SearchRequest.model_validate_json(json.dumps(fields))
        return search.request_id, self.memory.ask(search.request_id, to_bytes(search), partial(self._ask, search))

    async def count(self, fields: Mapping[str, Any]) -> FacetsResult:
        """The counts that a facets request asks for. Raises ValidationError, Unavailable."""
        named = {"request_id": str(uuid.uuid4())} | dict(fields)
        return await self.asking.count(FacetsRequest.model_validate_json(json.dumps(named)))

    async def _ask(self, search: SearchRequest) -> Told:
        result = await self.asking.search(search)
        self.metrics.result(result.status)
        return Told(HTTP_OF[result.status], to_bytes(result))

    async def _fields(self, request: Request) -> dict[str, Any]:
        form = await form_fields(request, "request", 1)
        if form is None:
            return await json_object(request)
        fields, [file] = form
        picture = await self.uploads.picture(file)
        return fields | {"image": picture.model_dump(mode="json")}


def search_routes(door: SearchDoor) -> APIRouter:
    """The routes of searches and of facets."""
    routes = APIRouter(prefix="/v1", tags=["searches"])

    @routes.post("/search", response_model=SearchResult, openapi_extra={"requestBody": SEARCH_BODY})
    async def search(
        request: Request, idempotency_key: Key = None, prefer: Prefer = None, accept: Annotated[str, Header()] = ""
    ) -> Response:
        """Find items that look like a picture, or like an item that is indexed already."""
        name, asked = await door.begin(request, idempotency_key)
        if "respond-async" in (prefer or ""):
            where = f"/v1/searches/{name}"
            return JSONResponse({"request_id": name, "result": where}, 202, {"Location": where})
        return await _answered(name, asked, accept)

    @routes.get("/searches/{name}", response_model=SearchResult)
    async def result(name: str, accept: Annotated[str, Header()] = "") -> Response:
        """The result of a search that was asked here; waits for it, or tells it as a server-sent event."""
        return await _answered(name, door.memory.find(name), accept)

    @routes.post("/facets")
    async def facets(request: Request) -> FacetsResult:
        """Count the items that pass some filters, by their values of some fields."""
        return await door.count(await json_object(request))

    @routes.get("/facets")
    async def all_facets(tenant: str = "default") -> FacetsResult:
        """Count all items of a tenant, by category, colour, brand and source."""
        return await door.count({"tenant": tenant})

    return routes


async def _answered(name: str, asked: Asked[Told], accept: str) -> Response:
    if "text/event-stream" in accept:
        return StreamingResponse(_events(name, asked), media_type="text/event-stream")
    told = await asked.outcome()
    later = {"Retry-After": "1"} if told.status == 503 else None
    return Response(told.body, told.status, later, media_type="application/json")


async def _events(name: str, asked: Asked[Told]) -> AsyncIterator[bytes]:
    yield f"event: asked\ndata: {json.dumps({'request_id': name})}\n\n".encode()
    try:
        yield b"event: result\ndata: " + (await asked.outcome()).body + b"\n\n"
    except Unavailable as away:  # the headers have left: a problem cannot be the response any more
        yield f"event: problem\ndata: {json.dumps({'detail': str(away)})}\n\n".encode()
