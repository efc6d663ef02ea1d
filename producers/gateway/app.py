"""Gateway application: assemble the routes, the middleware and the OpenAPI document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware

from infra.metrics import GatewayMetrics
from producers.gateway.item_routes import ItemService, item_routes
from producers.gateway.metrics import MetricsMiddleware, metrics_routes
from producers.gateway.middleware import GuardMiddleware, GuardSettings, TracingMiddleware
from producers.gateway.problem_details import SCHEMA, Problem, add_problem_handlers, problem_response, problems
from producers.gateway.read_routes import ReadService, read_routes
from producers.gateway.readiness import Readiness
from producers.gateway.search_registry import SearchService
from producers.gateway.search_routes import search_routes
from producers.gateway.server import Background
from producers.gateway.static_page import page_routes
from schemas.facets import FacetsRequest
from schemas.items import ItemUpserted
from schemas.searches import SearchRequest

CROSS_ORIGIN_METHODS, CROSS_ORIGIN_HEADERS = ("GET", "POST"), ("Authorization", "Content-Type")
"""What pages of the sites in `origins` may use; the guard lets them search only."""
GENERATED_FIELDS: Mapping[type[BaseModel], str] = {
    SearchRequest: "request_id",
    FacetsRequest: "request_id",
    ItemUpserted: "revision",
}
"""Models of the bodies that the routes parse themselves, and the field of each that the gateway generates."""


@dataclass(frozen=True)
class GatewayParts:
    """Services behind the routes."""

    searches: SearchService
    items: ItemService
    reads: ReadService
    metrics: GatewayMetrics
    background: tuple[Background, ...] = ()
    """Components that run in threads of their own. If one of them fails, the gateway is not alive."""


def make_gateway_app(guard: GuardSettings, parts: GatewayParts, check: Callable[[], None]) -> FastAPI:
    """Build the application; `check` raises Unavailable while a dependency of the requests is unavailable."""
    app = FastAPI(
        title="lookstream",
        summary="Visual search: find items that look like a picture.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    add_problem_handlers(app)
    app.include_router(search_routes(parts.searches))
    app.include_router(item_routes(parts.items))
    app.include_router(read_routes(parts.reads))
    app.include_router(page_routes())
    app.include_router(metrics_routes(parts.metrics))
    _add_health(app, parts, Readiness(check))
    _describe_requests(app)
    _build_routes(app)
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_middleware(MetricsMiddleware, metrics=parts.metrics)
    app.add_middleware(TracingMiddleware)
    if guard.gateway.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=guard.gateway.origins,
            allow_methods=CROSS_ORIGIN_METHODS,
            allow_headers=CROSS_ORIGIN_HEADERS,
        )
    return app


def _add_health(app: FastAPI, parts: GatewayParts, readiness: Readiness) -> None:
    def thread_failure() -> str:
        failures = [each.failure for each in parts.background if each.failure is not None]
        return f"a thread has ended ({type(failures[0]).__name__}): see the gateway's log" if failures else ""

    @app.get("/healthz", summary="Liveness", tags=["health"], response_model=dict[str, str], responses=problems())
    async def alive() -> JSONResponse:
        """200 unless a thread of the gateway has failed, otherwise 503."""
        if reason := thread_failure():
            return problem_response(Problem(503, reason))
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", summary="Readiness", tags=["health"], response_model=dict[str, str], responses=problems())
    async def ready() -> JSONResponse:
        """200 if Kafka and the index are available (in local mode also workers and disk space), otherwise 503."""
        if reason := thread_failure() or await readiness.why_not():
            return problem_response(Problem(503, reason))
        return JSONResponse({"status": "ready"})


def _build_routes(app: FastAPI) -> None:
    """Match every route once: FastAPI builds routes on the first match, which would slow down the first request."""
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})


def _describe_requests(app: FastAPI) -> None:
    """Add the schemas of the request bodies that the routes parse themselves to the OpenAPI document."""
    build_document = app.openapi

    def extended_document() -> dict[str, Any]:
        document = build_document()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = dict(SCHEMA)
        for model, field in GENERATED_FIELDS.items():
            schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
            schema["required"] = [name for name in schema.get("required", ()) if name != field]
            schemas |= schema.pop("$defs", {}) | schemas | {model.__name__: schema}
        return document

    app.openapi = extended_document  # type: ignore[method-assign]
