"""Read routes: items from the index, thumbnails of their pictures, and the status of the system."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from producers.gateway.item_reader import ItemReader
from producers.gateway.outcome_waiter import OutcomeWaiter
from producers.gateway.problem_details import Problem, problems
from producers.gateway.tokens import permit
from schemas.items import MAX_IMAGES
from schemas.stored_item import StoredItem

PICTURE_SECONDS = 300
"""How long a browser may cache a thumbnail."""
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}
SearchTenant = Annotated[str, permit("search")]
Number = Annotated[int, Path(ge=0, lt=MAX_IMAGES, description="Number of the item's picture, from 0")]
PageLimit = Annotated[int, Query(ge=1, le=100, description="Maximum number of items")]


class SystemStatus(BaseModel):
    """Size of a tenant's index, and recent throughput and freshness of its item events."""

    pictures: int = Field(ge=0, description="Searchable pictures of the tenant")
    per_second: float = Field(ge=0, description="Outcomes of item events per second, over the last 10 s")
    freshness_ms: float | None = Field(
        description="Milliseconds until the newest indexed event was searchable; null if there is none yet"
    )


@dataclass(frozen=True)
class ReadService:
    """Reads the index and the outcomes for the routes."""

    stored: ItemReader
    outcomes: OutcomeWaiter


def read_routes(service: ReadService) -> APIRouter:
    """The routes that read the index, and report throughput and freshness."""
    routes = APIRouter(prefix="/v1", tags=["index"])

    @routes.get("/items", summary="List sample items", responses=problems())
    async def some(tenant: SearchTenant, limit: PageLimit = 12) -> list[StoredItem]:
        """A sample of the tenant's items; it stays the same as long as the index does not change."""
        return await asyncio.to_thread(service.stored.sample, tenant, limit)

    @routes.get("/items/{item_id:path}", summary="Get an item", responses=problems(404))
    async def item(item_id: str, tenant: SearchTenant) -> StoredItem:
        """An item as stored in the index."""
        found = await asyncio.to_thread(service.stored.item, tenant, item_id)
        if found is None:
            raise Problem(404, f"the index has no item `{item_id[:200]}` of tenant `{tenant[:64]}`")
        return found

    @routes.get(
        "/pictures/{number}/{item_id:path}",
        summary="Get a thumbnail",
        response_class=Response,
        responses=problems(404) | JPEG,
    )
    async def picture(number: Number, item_id: str, tenant: SearchTenant) -> Response:
        """The thumbnail (JPEG) of one of an item's pictures."""
        found = await asyncio.to_thread(service.stored.thumbnail, tenant, item_id, number)
        if found is None:
            raise Problem(404, f"the index has no picture {number} of item `{item_id[:200]}`")
        headers = {"Cache-Control": f"private, max-age={PICTURE_SECONDS}"}
        return Response(found, media_type="image/jpeg", headers=headers)

    @routes.get("/status", summary="Get the status of a tenant", responses=problems())
    async def status(tenant: Annotated[str, permit("search", "operate")]) -> SystemStatus:
        """Number of searchable pictures, and throughput and freshness of item events."""
        pictures = await asyncio.to_thread(service.stored.count, tenant)
        pace = service.outcomes.pace(tenant)
        return SystemStatus(pictures=pictures, per_second=pace.per_second, freshness_ms=pace.freshness_ms)

    return routes
