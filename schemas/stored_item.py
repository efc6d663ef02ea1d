"""Stored item: an item as it is in the index."""

from typing import Literal

from pydantic import Field

from schemas.filters import ColourName
from schemas.items import ItemFacts, ItemId, Revision, Source, Tenant


class StoredItem(ItemFacts):
    """An item in the index: its facts, and the numbers of the pictures that are available."""

    schema_: Literal["stored.item/1"] = Field(
        "stored.item/1", alias="schema", description="Name and version of this schema"
    )
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    images: tuple[int, ...] = Field(description="Numbers of the available pictures, from 0, the main picture")
    colours: tuple[ColourName, ...] = Field((), description="Named colours of the main picture")
    category_predicted: bool = Field(
        default=False, description="Whether the category was predicted from similar items"
    )
