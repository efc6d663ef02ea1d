"""The gateway as one application: its routes behind its guard."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from infra.addresses import is_loopback
from infra.metrics import GatewayMetrics
from infra.settings import Gateway
from producers.gateway.guard import Guard
from producers.gateway.items import ItemDoor, item_routes
from producers.gateway.looking import LookingDoor, looking_routes
from producers.gateway.metered import Metered, metrics_routes
from producers.gateway.page import page_routes
from producers.gateway.problems import Problem, problem_response, say_problems
from producers.gateway.searches import SearchDoor, search_routes
from producers.gateway.traced import Traced
from schemas.failures import Unavailable
from schemas.items import ItemUpserted
from schemas.searches import SearchRequest

LOCAL_NAMES = ["127.0.0.1", "localhost", "[::1]", "::1"]
"""What a gateway on loopback is called: a page of another site that has its name point here is refused."""


@dataclass(frozen=True)
class Doors:
    """What the routes need."""

    searches: SearchDoor
    items: ItemDoor
    looking: LookingDoor
    metrics: GatewayMetrics


def gateway_app(settings: Gateway, doors: Doors, check: Callable[[], None]) -> FastAPI:
    """The application; `check` raises Unavailable while Kafka or the index is away."""
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
    app.include_router(looking_routes(doors.looking))
    app.include_router(page_routes())
    app.include_router(metrics_routes(doors.metrics))
    _add_health(app, check)
    _describe_requests(app)
    app.add_middleware(Guard, settings=settings)
    if is_loopback(settings.host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_NAMES)
    app.add_middleware(Metered, metrics=doors.metrics)
    app.add_middleware(Traced)
    return app


def _add_health(app: FastAPI, check: Callable[[], None]) -> None:
    @app.get("/healthz", tags=["health"])
    async def alive() -> dict[str, str]:
        """Whether the gateway itself lives."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"])
    async def ready() -> JSONResponse:
        """Whether Kafka and the index answer it."""
        try:
            await asyncio.to_thread(check)
        except Unavailable as away:
            return problem_response(Problem(503, str(away)))
        return JSONResponse({"status": "ready"})


def _describe_requests(app: FastAPI) -> None:
    """Put the schemas of bodies that are read by hand into the OpenAPI document."""
    make = app.openapi

    def described() -> dict[str, object]:
        document = make()
        parts = document["components"]["schemas"]
        for model in (SearchRequest, ItemUpserted):
            schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
            parts |= schema.pop("$defs", {}) | parts | {model.__name__: schema}
        return document

    app.openapi = described  # type: ignore[method-assign]
