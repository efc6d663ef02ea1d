"""The gateway as one application: its routes behind its guard."""

import asyncio
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from infra.addresses import is_loopback
from infra.settings import Gateway
from producers.gateway.guard import Guard
from producers.gateway.problems import Problem, problem_response, say_problems
from producers.gateway.searches import SearchDoor, search_routes
from schemas.failures import Unavailable
from schemas.searches import SearchRequest

LOCAL_NAMES = ["127.0.0.1", "localhost", "[::1]", "::1"]
"""What a gateway on loopback is called: a page of another site that has its name point here is refused."""


def gateway_app(settings: Gateway, door: SearchDoor, check: Callable[[], None]) -> FastAPI:
    """The application; `check` raises Unavailable while Kafka or the index is away."""
    app = FastAPI(
        title="lookstream",
        summary="Find things by their look.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    say_problems(app)
    app.include_router(search_routes(door))
    _add_health(app, check)
    _describe_requests(app)
    app.add_middleware(Guard, settings=settings)
    if is_loopback(settings.host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_NAMES)
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
    """Put the schema of search requests, whose bodies are read by hand, into the OpenAPI document."""
    make = app.openapi

    def described() -> dict[str, object]:
        document = make()
        schema = SearchRequest.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        parts = document["components"]["schemas"]
        for name, part in schema.pop("$defs", {}).items():
            parts.setdefault(name, part)
        parts["SearchRequest"] = schema
        return document

    app.openapi = described  # type: ignore[method-assign]
