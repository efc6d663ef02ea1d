"""Web page: serve its files from memory. They are read once, so no request path can reach another file."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response

from producers.gateway.problem_details import Problem

FOLDER = Path(__file__).parent / "page"
ENTRY, ASSETS = "/", "/page/"
"""URL paths of the page and of its files; nothing in them is secret."""
MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticAsset:
    """A file of the page with its media type and ETag."""

    content: bytes
    media_type: str
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or 304 if the browser has the current version."""
        headers = {
            "ETag": self.etag,
            "Cache-Control": "no-cache",
        }  # the browser stores it, but revalidates it each time
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def page_routes() -> APIRouter:
    """The routes for the page and its files."""
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
    return StaticAsset(content, MEDIA_TYPES[path.suffix], f'"{sha256(content).hexdigest()[:16]}"')
