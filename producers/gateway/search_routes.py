"""Search routes: search and count facets, and wait for the result or fetch it later."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from infra.images.formats import FORMAT_NAMES, MEDIA_TYPES
from producers.gateway.idempotency import RememberedRequest
from producers.gateway.names import IdempotencyKey
from producers.gateway.problem_details import problems
from producers.gateway.request_body import FORM, JSON, json_bytes
from producers.gateway.search_registry import HTTP_STATUS, HttpResult, SearchService
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
                    "picture": {
                        "type": "string",
                        "format": "binary",
                        "description": f"Picture to search by: {FORMAT_NAMES}",
                    },
                    "request": {"$ref": "#/components/schemas/SearchRequest"},
                },
            },
            "encoding": {"picture": {"contentType": MEDIA_TYPES}, "request": {"contentType": JSON}},
        },
    },
}
FACETS_BODY = {
    "required": True,
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/FacetsRequest"}}},
}
Prefer = Annotated[
    str | None, Header(description="respond-async: answer 202 immediately, with the path of the result")
]
Accept = Annotated[str, Header(description=f"{EVENTS}: send the result as a server-sent event")]


def search_routes(service: SearchService) -> APIRouter:
    """The routes for searches and facets."""
    routes = APIRouter(prefix="/v1", tags=["searches"], dependencies=[permit_use("search")])

    @routes.post(
        "/search",
        summary="Search",
        response_model=SearchResult,
        responses=_results(415) | _ACCEPTED,
        openapi_extra={"requestBody": SEARCH_BODY},
    )
    async def search(
        request: Request, idempotency_key: IdempotencyKey = None, prefer: Prefer = None, accept: Accept = ""
    ) -> Response:
        """Find items that look like a picture or like indexed items."""
        is_async = "respond-async" in (prefer or "")
        tenant, name, pending = await service.begin(request, idempotency_key, is_async=is_async)
        if is_async:
            await pending.wait_accepted()
            location = f"/v1/searches/{name}?tenant={tenant}"
            return JSONResponse({"request_id": name, "result": location}, 202, {"Location": location})
        return await _result_response(name, pending, accept)

    @routes.get(
        "/searches/{name}",
        summary="Get the result of a search",
        response_model=SearchResult,
        responses=_results(404),
    )
    async def result(name: str, tenant: Annotated[str, permit("search")], accept: Accept = "") -> Response:
        """The result of an earlier search, awaited until its deadline."""
        return await _result_response(name, await service.find(tenant, name), accept)

    _add_facets(routes, service)
    return routes


def _add_facets(routes: APIRouter, service: SearchService) -> None:
    @routes.post(
        "/facets",
        summary="Count items by field values",
        responses=problems(413, 415, 504),
        openapi_extra={"requestBody": FACETS_BODY},
    )
    async def facets(request: Request) -> FacetsResult:
        """Count the items that satisfy the filters, grouped by the values of the given fields."""
        return await service.count(request, await service.parser.fields(await json_bytes(request)))

    @routes.get("/facets", summary="Count all items by field values", responses=problems(504))
    async def all_facets(request: Request, tenant: Annotated[str, permit("search")]) -> FacetsResult:
        """Count all items of a tenant, grouped by category, colour, brand and source."""
        return await service.count(request, {"tenant": tenant})


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The search was accepted (with `Prefer: respond-async`); `result` is the path of its result",
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
    """OpenAPI responses of routes that return a SearchResult, also with statuses other than 200."""
    responses = problems(*statuses, 504)
    for status in set(HTTP_STATUS.values()) - {200}:
        result = {"schema": {"$ref": "#/components/schemas/SearchResult"}}
        responses[status] = {**responses[status], "content": {**responses[status]["content"], JSON: result}}
    return responses | {200: {"content": {EVENTS: {}}}}


async def _result_response(name: str, pending: RememberedRequest[HttpResult], accept: str) -> Response:
    if EVENTS in accept:
        return StreamingResponse(_events(name, pending), media_type=EVENTS)
    result = await pending.outcome()
    headers = {"Retry-After": "1"} if result.status == 503 else None
    return Response(result.body, result.status, headers, media_type=JSON)


async def _events(name: str, pending: RememberedRequest[HttpResult]) -> AsyncIterator[bytes]:
    yield f"event: asked\ndata: {json.dumps({'request_id': name})}\n\n".encode()
    try:
        yield b"event: result\ndata: " + (await pending.outcome()).body + b"\n\n"
    except Unavailable as error:  # the headers are sent, so the response cannot become a problem any more
        yield f"event: problem\ndata: {json.dumps({'detail': str(error)})}\n\n".encode()
