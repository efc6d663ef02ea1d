"""Item routes: send item events, and return their outcomes."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from infra.fetching.content_store import ContentStore, move_images
from infra.images.formats import MEDIA_TYPES
from infra.kafka import EventSink
from producers.gateway.claims import ClaimRegister, RequestClaim
from producers.gateway.names import IdempotencyKey, wire_id
from producers.gateway.outcome_waiter import OutcomeWaiter
from producers.gateway.problem_details import Problem, problems
from producers.gateway.records import check_record
from producers.gateway.request_body import (
    FORM,
    JSON,
    Fields,
    Parser,
    digest_of,
    form_parts,
    json_bytes,
    model_of,
    size_of,
)
from producers.gateway.tokens import TokenAccess, check_access, permit, permit_use, tenant_in
from producers.gateway.uploads import Uploads
from schemas.envelope import Event, to_bytes
from schemas.failures import TryLater, Unavailable
from schemas.items import MAX_IMAGES, MAX_REVISION, ItemDeleted, ItemUpserted, Source, item_key, revision_at
from schemas.outcomes import ItemOutcome
from schemas.topics import MAX_RECORD_BYTES, TOPIC_OF

MAX_WAIT_SECONDS = 30.0
ITEM_BODY = {
    "required": True,
    "content": {
        JSON: {"schema": {"$ref": "#/components/schemas/ItemUpserted"}},
        FORM: {
            "schema": {
                "type": "object",
                "required": ["pictures", "item"],
                "properties": {
                    "pictures": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "item": {"$ref": "#/components/schemas/ItemUpserted"},
                },
            },
            "encoding": {"pictures": {"contentType": MEDIA_TYPES}, "item": {"contentType": JSON}},
        },
    },
}
Wait = Annotated[
    float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Maximum time to wait for the outcome, in seconds, 0 to 30")
]
DeletionRevision = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_REVISION,
        description="Revision of the deletion; by default the time in microseconds since 1970",
    ),
]
ItemWrite = ItemUpserted | ItemDeleted


class ItemReceipt(BaseModel):
    """Receipt for an item event that was sent."""

    event_id: str = Field(description="Id of the event")
    tenant: str = Field(description="Owner of the item")
    item_id: str = Field(description="Identifier of the item")
    revision: int = Field(description="Revision of the event; by default its time in microseconds since 1970")
    outcome: str = Field(description="URL path of the event's outcome")

    def response(self) -> JSONResponse:
        """The 202 response, whose Location is the outcome's path."""
        return JSONResponse(self.model_dump(), 202, {"Location": self.outcome})


@dataclass(frozen=True)
class ItemService:
    """Sends item events for the routes."""

    sink: EventSink
    uploads: Uploads
    claims: ClaimRegister
    outcomes: OutcomeWaiter
    parser: Parser
    record_bytes: int = MAX_RECORD_BYTES
    store: ContentStore | None = None
    """Where the pictures of items go; None: they travel in the events."""

    async def put(self, request: Request, key: str | None) -> ItemReceipt:
        """Send the item in a request as an upsert event; requests with the same `key` are sent once."""
        form = await form_parts(request, "item", MAX_IMAGES)
        fields = await self.parser.fields(await json_bytes(request) if form is None else form[0])
        check_access(request.scope, ("write",), tenant_in(fields))
        if form is not None:
            pictures = [await self.uploads.picture(file) for file in form[1]]
            fields["images"] = [picture.model_dump(mode="json") for picture in pictures]
        return await self.send_event(fields, ItemUpserted, key)

    async def send_event(self, fields: Fields, kind: type[ItemWrite], key: str | None) -> ItemReceipt:
        """Send an event once, and return its receipt. The revision is the present time unless `fields` has one."""
        event_id = str(uuid.uuid4()) if key is None else wire_id("item", tenant_in(fields), key)
        prepare = partial(self._prepare, fields, kind, event_id)
        event, digest = await self.parser.run(size_of(fields), prepare)
        if self.store is not None and isinstance(event, ItemUpserted):
            event = await asyncio.to_thread(_move_images, event, self.store)
        if key is not None:
            event = await self._send_once(event, event_id, key, digest.hex())
        else:
            await asyncio.to_thread(self._send, event, event_id)
        return ItemReceipt(
            event_id=event_id,
            tenant=event.tenant,
            item_id=event.item_id,
            revision=event.revision,
            outcome=f"/v1/outcomes/{event_id}",
        )

    def _prepare(self, fields: Fields, kind: type[ItemWrite], event_id: str) -> tuple[ItemWrite, bytes]:
        """The event, checked to fit a record, and the digest of its fields. Raises Problem, ValidationError.

        An event whose pictures go to the content store always fits.
        """
        event = model_of(kind, {"revision": revision_at(datetime.now(UTC))} | fields)
        if self.store is None:
            check_record(Event(event, id=event_id), item_key(event.tenant, event.item_id), self.record_bytes)
        return event, digest_of(fields)

    async def _send_once(self, event: ItemWrite, event_id: str, key: str, digest: str) -> ItemWrite:
        """Send an event unless it was sent under this key; returns it with the revision of the first sending."""
        own = RequestClaim(
            kind="item", tenant=event.tenant, name=key, digest=digest, wire_id=event_id, revision=event.revision
        )
        first = await self.claims.claim(own)
        event = event.model_copy(update={"revision": first.revision})
        if first.owner == own.owner or not await self.claims.is_finished(first):
            await asyncio.to_thread(self._send, event, event_id)
            await self.claims.finish(first)
        return event

    def _send(self, event: ItemWrite, event_id: str) -> None:
        envelope = Event(event, source="lookstream/gateway", id=event_id)
        self.sink.send(TOPIC_OF[event.source], item_key(event.tenant, event.item_id), envelope)
        self.sink.flush()


def _move_images(item: ItemUpserted, store: ContentStore) -> ItemUpserted:
    """The item with its pictures in the store; raises Unavailable, also when only this picture was not written."""
    try:
        return move_images(item, store)
    except TryLater as failure:
        raise Unavailable(failure.message) from None


def item_routes(service: ItemService) -> APIRouter:
    """The routes that accept item events and return their outcomes."""
    routes = APIRouter(prefix="/v1", tags=["items"], dependencies=[permit_use("write")])

    @routes.post(
        "/items",
        summary="Create or replace an item",
        status_code=202,
        response_model=ItemReceipt,
        responses=problems(415),
        openapi_extra={"requestBody": ITEM_BODY},
    )
    async def put(request: Request, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Send an `item.upserted/1` event; `Location` is the path of its outcome."""
        return (await service.put(request, idempotency_key)).response()

    @routes.delete(
        "/items/{item_id:path}",
        summary="Delete an item",
        status_code=202,
        response_model=ItemReceipt,
        responses=problems(),
    )
    async def delete(
        item_id: str,
        tenant: Annotated[str, permit("write")],
        source: Source = "catalog",
        revision: DeletionRevision = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Send an `item.deleted/1` event, which removes the item from the index."""
        fields: Fields = {"item_id": item_id, "tenant": tenant, "source": source}
        fields |= {} if revision is None else {"revision": revision}
        return (await service.send_event(fields, ItemDeleted, idempotency_key)).response()

    _add_outcomes(routes, service.outcomes)
    return routes


def _add_outcomes(routes: APIRouter, outcomes: OutcomeWaiter) -> None:
    @routes.get(
        "/outcomes/{event_id}",
        summary="Get the outcome of an item event",
        response_model=ItemOutcome,
        responses=problems(404),
    )
    async def outcome(
        event_id: str, access: Annotated[TokenAccess, permit_use("write")], wait: Wait = 0
    ) -> Response:
        """The outcome of an item event that was sent recently; 404 until it is known."""
        item_outcome = await outcomes.wait_for(event_id, wait)
        if item_outcome is None or not access.has_tenant(item_outcome.tenant):
            raise Problem(404, f"there is no outcome of event `{event_id[:64]}` yet: retry, with `wait`")
        return Response(to_bytes(item_outcome), media_type="application/json")
