"""The gateway as one application: its routes behind its guard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from infra.metrics import GatewayMetrics
from producers.gateway.item_routes import ItemService, item_routes
from producers.gateway.metered import MetricsMiddleware, metrics_routes
from producers.gateway.middleware import GuardMiddleware, GuardSettings
from producers.gateway.problem_details import SCHEMA, Problem, problem_response, problems, say_problems
from producers.gateway.read_routes import ReadService, read_routes
from producers.gateway.readiness import Readiness
from producers.gateway.search_registry import SearchService
from producers.gateway.search_routes import search_routes
from producers.gateway.server import Background
from producers.gateway.static_page import page_routes
from producers.gateway.traced import TracingMiddleware
from schemas.facets import FacetsRequest
from schemas.items import ItemUpserted
from schemas.searches import SearchRequest

FILLED_IN: Mapping[type[BaseModel], str] = {
    SearchRequest: "request_id",
    FacetsRequest: "request_id",
    ItemUpserted: "revision",
}
"""What bodies are that the routes read by hand, and which of their fields the gateway fills in."""


@dataclass(frozen=True)
class GatewayParts:
    """What the routes need."""

    searches: SearchService
    items: ItemService
    looking: ReadService
    metrics: GatewayMetrics
    background: tuple[Background, ...] = ()
    """What works in threads: when one of them has failed, the gateway is not alive."""


def gateway_app(guarded: GuardSettings, doors: GatewayParts, check: Callable[[], None]) -> FastAPI:
    """The application; `check` raises Unavailable while something that requests need is away."""
    app = FastAPI(
        title="lookstream",
        summary="Find things by their look.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    say_problems(app)
    app.include_router(search_routes(doors.searches))
    app.include_router(item_routes(doors.items))
    app.include_router(read_routes(doors.looking))
    app.include_router(page_routes())
    app.include_router(metrics_routes(doors.metrics))
    _add_health(app, doors, Readiness(check))
    _describe_requests(app)
    _build_routes(app)
    app.add_middleware(GuardMiddleware, guarded=guarded)
    app.add_middleware(MetricsMiddleware, metrics=doors.metrics)
    app.add_middleware(TracingMiddleware)
    return app


def _add_health(app: FastAPI, doors: GatewayParts, readiness: Readiness) -> None:
    def failed() -> str:
        failures = [part.failure for part in doors.background if part.failure is not None]
        return f"a thread has ended ({type(failures[0]).__name__}): see the gateway's log" if failures else ""

    @app.get("/healthz", tags=["health"], response_model=dict[str, str], responses=problems())
    async def alive() -> JSONResponse:
        """Whether the gateway itself lives."""
        if why := failed():
            return problem_response(Problem(503, why))
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", tags=["health"], response_model=dict[str, str], responses=problems())
    async def ready() -> JSONResponse:
        """Whether Kafka and the index answer; in local mode also if workers are ready and the disk has room."""
        if why := failed() or await readiness.why_not():
            return problem_response(Problem(503, why))
        return JSONResponse({"status": "ready"})


def _build_routes(app: FastAPI) -> None:
    """FastAPI builds them when one is first looked for: better now than in somebody's request."""
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})


def _describe_requests(app: FastAPI) -> None:
    """Put the schemas of bodies that are read by hand into the OpenAPI document."""
    make = app.openapi

    def described() -> dict[str, Any]:
        document = make()
        parts = document["components"]["schemas"]
        parts["Problem"] = dict(SCHEMA)
        for model, field in FILLED_IN.items():
            schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
            schema["required"] = [name for name in schema.get("required", ()) if name != field]
            parts |= schema.pop("$defs", {}) | parts | {model.__name__: schema}
        return document

    app.openapi = described  # type: ignore[method-assign]
