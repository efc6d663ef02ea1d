"""Web page and storefront component: serve their files from memory.

They are read once, so no request path can reach another file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response

from producers.gateway.problem_details import Problem

FOLDER = Path(__file__).parent / "page"
ENTRY, ASSETS = "/", "/page/"
"""URL paths of the page and of its files; nothing in them is secret."""
COMPONENT = "/storefront/v1/lookstream-search.js"
"""URL path of the web component for pages of shops; its version changes if attributes or events do."""
COMPONENT_FILE = Path(__file__).parent / "storefront" / "lookstream-search.js"
COMPONENT_HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=3600, stale-while-revalidate=86400",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of the component: every site may load it, as a module too, and it is no page."""
REVALIDATED: Mapping[str, str] = {"Cache-Control": "no-cache"}
"""Headers of the page's files: the browser stores them, but revalidates them each time."""
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
    headers: Mapping[str, str] = field(default_factory=lambda: REVALIDATED)

    def response(self, request: Request) -> Response:
        """The file, or 304 if the browser has the current version."""
        headers = {"ETag": self.etag, **self.headers}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def page_routes() -> APIRouter:
    """The routes for the page and its files."""
    routes, files = APIRouter(include_in_schema=False), {path.name: _asset(path) for path in FOLDER.iterdir()}
    component = _asset(COMPONENT_FILE, COMPONENT_HEADERS)

    @routes.get(ENTRY)
    async def page(request: Request) -> Response:
        return files["index.html"].response(request)

    @routes.get(ASSETS + "{name}")
    async def asset(request: Request, name: str) -> Response:
        if name not in files:
            raise Problem(404, f"the page has no file `{name[:64]}`")
        return files[name].response(request)

    @routes.get(COMPONENT)
    async def storefront_component(request: Request) -> Response:
        return component.response(request)

    return routes


def _asset(path: Path, headers: Mapping[str, str] = REVALIDATED) -> StaticAsset:
    content = path.read_bytes()
    return StaticAsset(content, MEDIA_TYPES[path.suffix], f'"{sha256(content).hexdigest()[:16]}"', headers)
