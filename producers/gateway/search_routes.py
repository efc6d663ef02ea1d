"""The HTTP routes of searches and of facets: ask and wait, or ask and come back."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from producers.gateway.idempotency import RememberedRequest
from producers.gateway.names import IdempotencyKey
from producers.gateway.problem_details import problems
from producers.gateway.request_body import FORM, JSON, PICTURES, json_bytes
from producers.gateway.search_registry import HTTP_OF, HttpResult, SearchService
from producers.gateway.tokens import permit, permit_use
from schemas.facets import FacetsResult
from schemas.failures import Unavailable
from schemas.results import SearchResult

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
                    "request": {"$ref": "#/components/schemas/SearchRequest"},
                },
            },
            "encoding": {"picture": {"contentType": PICTURES}, "request": {"contentType": JSON}},
        },
    },
}
FACETS_BODY = {
    "required": True,
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/FacetsRequest"}}},
}
Prefer = Annotated[str | None, Header(description="respond-async: 202 at once, with the address of the result")]
Accept = Annotated[str, Header(description=f"{EVENTS}: the result as a server-sent event")]


def search_routes(door: SearchService) -> APIRouter:
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
        is_async = "respond-async" in (prefer or "")
        tenant, name, asked = await door.begin(request, idempotency_key, is_async=is_async)
        if is_async:
            await asked.acceptance()
            where = f"/v1/searches/{name}?tenant={tenant}"
            return JSONResponse({"request_id": name, "result": where}, 202, {"Location": where})
        return await _answered(name, asked, accept)

    @routes.get("/searches/{name}", response_model=SearchResult, responses=_results(404))
    async def result(name: str, tenant: Annotated[str, permit("search")], accept: Accept = "") -> Response:
        """The result of a search that was asked before; waits for it, or tells it as a server-sent event."""
        return await _answered(name, await door.find(tenant, name), accept)

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


async def _answered(name: str, asked: RememberedRequest[HttpResult], accept: str) -> Response:
    if EVENTS in accept:
        return StreamingResponse(_events(name, asked), media_type=EVENTS)
    result = await asked.outcome()
    later = {"Retry-After": "1"} if result.status == 503 else None
    return Response(result.body, result.status, later, media_type=JSON)


async def _events(name: str, asked: RememberedRequest[HttpResult]) -> AsyncIterator[bytes]:
    yield f"event: asked\ndata: {json.dumps({'request_id': name})}\n\n".encode()
    try:
        yield b"event: result\ndata: " + (await asked.outcome()).body + b"\n\n"
    except Unavailable as away:  # the headers have left: a problem cannot be the response any more
        yield f"event: problem\ndata: {json.dumps({'detail': str(away)})}\n\n".encode()
