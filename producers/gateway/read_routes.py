"""What there is, over HTTP: items as the index has them, their pictures, and how the system fares."""

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
from schemas.stored import StoredItem

PICTURE_SECONDS = 300
"""How long a browser may keep a thumbnail."""
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}
Tenant = Annotated[str, permit("search")]
Number = Annotated[int, Path(ge=0, lt=MAX_IMAGES, description="Which of the item's pictures")]
Limit = Annotated[int, Query(ge=1, le=100, description="Items at most")]


class SystemStatus(BaseModel):
    """How the system fares."""

    pictures: int = Field(ge=0, description="Pictures of the tenant that can be found")
    per_second: float = Field(ge=0, description="Item events a second whose outcomes were told in the last 10 s")
    freshness_ms: float | None = Field(
        description="Milliseconds from the newest indexed event to when it could be found; none: nothing came yet"
    )


@dataclass(frozen=True)
class ReadService:
    """What looking needs."""

    stored: ItemReader
    outcomes: OutcomeWaiter


def read_routes(door: ReadService) -> APIRouter:
    """The routes that read the index, and tell the pace."""
    routes = APIRouter(prefix="/v1", tags=["looking"])

    @routes.get("/items", responses=problems())
    async def some(tenant: Tenant, limit: Limit = 12) -> list[StoredItem]:
        """A few items to begin with: the same ones while the index does not change."""
        return await asyncio.to_thread(door.stored.some, tenant, limit)

    @routes.get("/items/{item_id:path}", responses=problems(404))
    async def item(item_id: str, tenant: Tenant) -> StoredItem:
        """What the index knows of an item."""
        found = await asyncio.to_thread(door.stored.item, tenant, item_id)
        if found is None:
            raise Problem(404, f"the index has no item `{item_id[:200]}` of tenant `{tenant[:64]}`")
        return found

    @routes.get("/pictures/{number}/{item_id:path}", response_class=Response, responses=problems(404) | JPEG)
    async def picture(number: Number, item_id: str, tenant: Tenant) -> Response:
        """A small JPEG of one of an item's pictures."""
        found = await asyncio.to_thread(door.stored.thumbnail, tenant, item_id, number)
        if found is None:
            raise Problem(404, f"the index has no picture {number} of item `{item_id[:200]}`")
        kept = {"Cache-Control": f"private, max-age={PICTURE_SECONDS}"}
        return Response(found, media_type="image/jpeg", headers=kept)

    @routes.get("/status", responses=problems())
    async def status(tenant: Annotated[str, permit("search", "operate")]) -> SystemStatus:
        """How much there is to find, and how fast events come through."""
        pictures = await asyncio.to_thread(door.stored.count, tenant)
        pace = door.outcomes.pace(tenant)
        return SystemStatus(pictures=pictures, per_second=pace.per_second, freshness_ms=pace.freshness_ms)

    return routes
