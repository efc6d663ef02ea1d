"""The page: its files, read once and served from memory, so that no path ever leads anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response

from producers.gateway.problem_details import Problem

FOLDER = Path(__file__).parent / "page"
ENTRY, ASSETS = "/", "/page/"
"""Where the page and what it consists of are found; nothing in them is secret."""
KINDS: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticAsset:
    """One file."""

    content: bytes
    kind: str
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or that the browser has it already."""
        headers = {"ETag": self.etag, "Cache-Control": "no-cache"}  # kept, but asked about each time
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def page_routes() -> APIRouter:
    """The routes of the page."""
    routes, files = APIRouter(include_in_schema=False), {path.name: _asset(path) for path in FOLDER.iterdir()}

    @routes.get(ENTRY)
    async def page(request: Request) -> Response:
        return files["index.html"].response(request)

    @routes.get(ASSETS + "{name}")
    async def asset(request: Request, name: str) -> Response:
        if name not in files:
            raise Problem(404, f"the page has no file `{name[:64]}`")
        return files[name].response(request)

    return routes


def _asset(path: Path) -> StaticAsset:
    content = path.read_bytes()
    return StaticAsset(content, KINDS[path.suffix], f'"{sha256(content).hexdigest()[:16]}"')
