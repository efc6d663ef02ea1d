"""Items over HTTP: events in, and what became of them out."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from infra.kafka import EventSink
from producers.gateway.memory import Memory
from producers.gateway.outcomes import Outcomes
from producers.gateway.problems import Problem
from producers.gateway.reading import form_fields, json_object
from producers.gateway.uploads import Uploads
from schemas.envelope import Event, to_bytes
from schemas.items import MAX_IMAGES, ItemDeleted, ItemUpserted, Source, item_key, revision_at
from schemas.outcomes import ItemOutcome
from schemas.topics import TOPIC_OF

LONGEST_WAIT = 30.0
"""Seconds."""
Key = Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="To send twice safely: its id")]
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for it")]
ItemEvent = ItemUpserted | ItemDeleted


@dataclass(frozen=True)
class ItemDoor:
    """What items need."""

    sink: EventSink
    uploads: Uploads
    memory: Memory[dict[str, Any]]
    outcomes: Outcomes

    async def take(self, fields: dict[str, Any], kind: type[ItemEvent], key: str | None) -> JSONResponse:
        """Send an event once, and say where its outcome will be; its revision is the time unless it says one."""
        event_id = key or str(uuid.uuid4())
        event = kind.model_validate_json(json.dumps({"revision": revision_at(datetime.now(UTC))} | fields))
        send = partial(self._send, event, event_id)
        receipt = await self.memory.ask(event_id, json.dumps(fields, sort_keys=True).encode(), send).outcome()
        return JSONResponse(receipt, 202, {"Location": receipt["outcome"]})

    async def _send(self, event: ItemEvent, event_id: str) -> dict[str, Any]:
        await asyncio.to_thread(self._send_now, event, event_id)
        told = {"event_id": event_id, "tenant": event.tenant, "item_id": event.item_id, "revision": event.revision}
        return told | {"outcome": f"/v1/outcomes/{event_id}"}

    def _send_now(self, event: ItemEvent, event_id: str) -> None:
        envelope = Event(event, source="lookstream/gateway", id=event_id)
        self.sink.send(TOPIC_OF[event.source], item_key(event.tenant, event.item_id), envelope)
        self.sink.flush()

    async def fields(self, request: Request) -> dict[str, Any]:
        """The fields of an item: a JSON object, or a form with `item` as JSON and the pictures as files."""
        form = await form_fields(request, "item", MAX_IMAGES)
        if form is None:
            return await json_object(request)
        fields, files = form
        pictures = [await self.uploads.picture(file) for file in files]
        return fields | {"images": [picture.model_dump(mode="json") for picture in pictures]}


def item_routes(door: ItemDoor) -> APIRouter:
    """The routes that take items, and tell what became of them."""
    routes = APIRouter(prefix="/v1", tags=["items"])

    @routes.post("/items", status_code=202)
    async def put(request: Request, idempotency_key: Key = None) -> JSONResponse:
        """Send an item, new or changed; what becomes of it is told at the address in the answer."""
        return await door.take(await door.fields(request), ItemUpserted, idempotency_key)

    @routes.delete("/items/{item_id:path}", status_code=202)
    async def delete(
        item_id: str, tenant: str = "default", source: Source = "catalog", idempotency_key: Key = None
    ) -> JSONResponse:
        """Take an item out of the index."""
        fields = {"item_id": item_id, "tenant": tenant, "source": source}
        return await door.take(fields, ItemDeleted, idempotency_key)

    @routes.get("/outcomes/{event_id}", response_model=ItemOutcome)
    async def outcome(event_id: str, wait: Wait = 0) -> Response:
        """What became of an item event that was sent in the last while."""
        found = await door.outcomes.of(event_id, wait)
        if found is None:
            raise Problem(404, f"nothing is known of event `{event_id[:64]}` yet: ask again, with `wait`")
        return Response(to_bytes(found), media_type="application/json")

    return routes
