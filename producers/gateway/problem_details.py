"""Problem details (RFC 9457): answer errors with a status, a title and one sentence with the remedy."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from infra.client.reply_router import NoAnswer
from infra.kafka import RecordRefused
from infra.qdrant.contract import EngineError
from schemas.envelope import describe
from schemas.failures import Fault, Rejected, Unavailable

MEDIA_TYPE = "application/problem+json"
TITLES: Mapping[int, str] = {
    400: "The request is invalid",
    401: "A token is needed",
    403: "That is not allowed",
    404: "Not found",
    405: "The method is not allowed",
    408: "The request came too slowly",
    413: "The request is too large",
    415: "The content type is not supported",
    422: "The request is invalid",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
    504: "No answer came in time",
}


COMMON_STATUSES = (400, 401, 403, 408, 413, 422, 429, 500, 503)
"""Statuses that any route may return: from the server, the guard, or an unavailable dependency."""
METHODS = ("GET", "POST", "DELETE")
REQUEST_ID = "X-Request-Id"
"""Header with the id of a request: proxies set it, and the response to an unexpected error has it."""
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Request ids that are taken from clients; another one is replaced by a random id."""


class Problem(Exception):
    """A refused request with its HTTP status; the message is one sentence with the remedy."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "Problem details (RFC 9457)",
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "Cause and remedy, in one sentence"},
        "code": {"type": "string", "description": "Machine-readable error code"},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses and those that any route may return."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TITLES[status], "content": content}
        for status in sorted({*statuses, *COMMON_STATUSES})
    }


def problem_response(problem: Problem, code: str | None = None) -> JSONResponse:
    """The response for a problem; `code` is a machine-readable error code."""
    title = TITLES.get(problem.status, TITLES[500])
    body = {"title": title, "status": problem.status, "detail": problem.message}
    extra = {} if code is None else {"code": code}
    return JSONResponse(body | extra, problem.status, problem.headers, MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error with a problem; the response to an unexpected exception has no details."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(Rejected)
    async def rejected(_request: Request, error: Rejected) -> JSONResponse:
        return problem_response(Problem(422, error.message), error.code)

    @app.exception_handler(ValidationError)
    async def invalid(_request: Request, error: ValidationError) -> JSONResponse:
        return problem_response(Problem(422, describe(error)), "request_invalid")

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        return problem_response(Problem(422, f"`{location}`: {first['msg']}"), "request_invalid")

    _add_fault_handlers(app)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        allow = {"Allow": _allowed_methods(app, request)} if error.status_code == 405 else {}
        return problem_response(Problem(error.status_code, str(error.detail), {**(error.headers or {}), **allow}))


def _add_fault_handlers(app: FastAPI) -> None:
    """Handlers of errors that the client did not cause."""

    @app.exception_handler(Unavailable)
    async def unavailable(_request: Request, error: Unavailable) -> JSONResponse:
        status = 504 if isinstance(error, NoAnswer) else 503
        return problem_response(Problem(status, str(error), {"Retry-After": "1"}))

    @app.exception_handler(RecordRefused)
    async def too_large(_request: Request, error: RecordRefused) -> JSONResponse:
        return problem_response(Problem(413, f"{error}: send smaller or fewer pictures"))

    @app.exception_handler(EngineError)
    @app.exception_handler(Fault)
    async def fault(_request: Request, error: Exception) -> JSONResponse:
        structlog.get_logger().error("request failed", reason=str(error))
        # No Retry-After, because an operator must fix it.
        return problem_response(Problem(503, "the index or Kafka has a fault: `lookstream health` shows it"))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        given = request.headers.get(REQUEST_ID, "")
        request_id = given if REQUEST_ID_PATTERN.fullmatch(given) else uuid.uuid4().hex
        structlog.get_logger().error(
            "internal error", request_id=request_id, method=request.method, path=request.url.path, exc_info=error
        )
        message = f"an internal error: its traceback is in the gateway's log, with the request id {request_id}"
        return problem_response(Problem(500, message, {REQUEST_ID: request_id}))


def _allowed_methods(app: FastAPI, request: Request) -> str:
    """The methods of all routes of a path; Starlette only reports those of the first one."""
    scopes = {method: dict(request.scope, method=method) for method in METHODS}
    allowed = [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)
    ]
    return ", ".join([*allowed, "HEAD"] if "GET" in allowed else allowed)
