"""Tools of agents: searches, counts and standing searches in the catalogue of one tenant."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from infra.client.async_search_client import AsyncSearchClient
from infra.config.errors import BadInput
from producers.agents.answers import ItemCounts, SearchAnswer, WatchAnswer, answer_of
from producers.agents.arguments import (
    Arguments,
    ContactSheet,
    Counts,
    ItemSearch,
    PictureSearch,
    WatchAddition,
    WatchList,
    WatchRemoval,
    WordSearch,
)
from producers.contact_sheet import SheetRow, draw_sheet
from producers.watches.client import WatchClient
from schemas.facets import FacetsRequest
from schemas.items import InlineImage
from schemas.results import SearchResult
from schemas.searches import SearchRequest

Given = TypeVar("Given", bound=Arguments)


@dataclass(frozen=True)
class Tool:
    """A tool: its name, its arguments, what it answers (None: a PNG), and whether it changes something."""

    name: str
    arguments: type[Arguments]
    answer: type[BaseModel] | None
    run: Callable[[Any], Awaitable[BaseModel | bytes]]
    writes: bool = False


class CatalogueTools:
    """The tools of one tenant, for one event loop. No argument names a tenant, so none reaches another one.

    Files are read below `pictures` alone. What a tool raises is BadInput, Unavailable, NoAnswer or pydantic's
    ValidationError.
    """

    def __init__(self, client: AsyncSearchClient, watches: WatchClient, tenant: str, pictures: Path | None) -> None:
        self._client = client
        self._watches = watches
        self._tenant = tenant
        self._pictures = pictures

    def all(self, *, writes: bool) -> list[Tool]:
        """All tools; those that change something only with `writes`."""
        tools = [
            Tool("search_by_picture", PictureSearch, SearchAnswer, self._by_picture),
            Tool("search_by_words", WordSearch, SearchAnswer, self._by_fields),
            Tool("search_by_item", ItemSearch, SearchAnswer, self._by_fields),
            Tool("count_items", Counts, ItemCounts, self._count),
            Tool("draw_contact_sheet", ContactSheet, None, self._draw),
            Tool("list_watches", WatchList, WatchAnswer, self._list_watches),
            Tool("add_watch", WatchAddition, WatchAnswer, self._add_watch, writes=True),
            Tool("remove_watch", WatchRemoval, WatchAnswer, self._remove_watch, writes=True),
        ]
        return [tool for tool in tools if writes or not tool.writes]

    async def _by_picture(self, given: PictureSearch) -> SearchAnswer:
        image = given.image(self._pictures)
        if image is None:
            raise BadInput("give one of `picture_url`, `picture_base64` and `picture_file`")
        fields = _fields(given) | {"image": image, "objects": "auto" if given.each_thing else "none"}
        return answer_of(await self._search(fields))

    async def _by_fields(self, given: WordSearch | ItemSearch) -> SearchAnswer:
        return answer_of(await self._search(_fields(given)))

    async def _count(self, given: Counts) -> ItemCounts:
        request = FacetsRequest(request_id=uuid.uuid4().hex, tenant=self._tenant, **_fields(given))
        result = await self._client.count(request)
        if result.status != "ok":
            raise BadInput(result.message or result.status)
        return ItemCounts(
            counts={facet: {each.value: each.count for each in values} for facet, values in result.counts.items()}
        )

    async def _draw(self, given: ContactSheet) -> bytes:
        image = given.image(self._pictures)
        result = await self._search(_fields(given) | {"image": image, "thumbnails": True})
        caption = " + ".join(filter(None, [given.item_id, given.text])) or "the picture"
        picture = image.data if isinstance(image, InlineImage) else None
        sheet = await asyncio.to_thread(draw_sheet, [SheetRow(caption, picture, result.hits)])
        png = BytesIO()
        sheet.save(png, "PNG")
        return png.getvalue()

    async def _list_watches(self, _given: WatchList) -> WatchAnswer:
        watches = await asyncio.to_thread(self._watches.all)
        return WatchAnswer(active=tuple(watch.watch_id for watch in watches if watch.tenant == self._tenant))

    async def _add_watch(self, given: WatchAddition) -> WatchAnswer:
        request = self._request(_fields(given) | {"image": given.image(self._pictures)})
        await asyncio.to_thread(self._watches.add, given.watch_id, request, given.min_confidence)
        return await self._list_watches(WatchList())

    async def _remove_watch(self, given: WatchRemoval) -> WatchAnswer:
        if await asyncio.to_thread(self._watches.remove, self._tenant, [given.watch_id]):
            raise BadInput(f"there is no standing search {given.watch_id}: see `list_watches`")
        return await self._list_watches(WatchList())

    async def _search(self, fields: dict[str, Any]) -> SearchResult:
        return await self._client.search(self._request(fields))

    def _request(self, fields: dict[str, Any]) -> SearchRequest:
        given = {
            name: value
            for name, value in fields.items()
            if value is not None and name in SearchRequest.model_fields
        }
        return SearchRequest(request_id=uuid.uuid4().hex, tenant=self._tenant, **given)


def _fields(given: Arguments) -> dict[str, Any]:
    """The arguments by name, with their models."""
    return {name: getattr(given, name) for name in type(given).model_fields}
