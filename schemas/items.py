"""Item events: create, change and delete items of merchants' catalogs and social platforms."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, field_serializer, model_validator

from schemas.model import KEEP_WHITESPACE, LenientModel, Model, NullElements
from schemas.moderation import Labels
from schemas.moments import Moment, microseconds_since_1970

MAX_INLINE_BYTES = 700_000
"""Maximum size of a picture in bytes that fits into a Kafka record of 1 MB after base64 (DECISIONS.md)."""

MAX_IMAGES = 8
Objects = Literal["none", "auto", "all"]
"""Which things in a picture count for themselves: none, each if there are several, or each that is found."""
MAX_REGIONS = 5
"""Maximum number of things of a picture."""
MAX_REVISION = 2**53
"""The largest integer that the index can still compare exactly, because it compares as float64."""

Tenant = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="Owner of the items; a search returns items of one tenant. 1 to 64 letters, digits, _ . or -",
    ),
]
ItemId = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="Identifier of the item, unique within its tenant; 1 to 200 characters, not blanks alone",
    ),
]
Revision = Annotated[
    int,
    Field(
        ge=1,
        le=MAX_REVISION,
        description="Version of the item: the event with the highest revision wins. By default the event's time in "
        "microseconds since 1970",
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Source = Annotated[
    Literal["catalog", "social"],
    Field(description="Source of the item: catalog (a merchant's catalog) or social (social posts)"),
]


Sha256 = Annotated[
    str | None,
    Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the encoded picture, in hex. A picture that is already in the index is not fetched "
        "again; a picture with another digest is rejected",
    ),
]


class InlineImage(Model):
    """A picture inside the event."""

    kind: Literal["inline"] = "inline"
    data: bytes = Field(
        min_length=1,
        max_length=MAX_INLINE_BYTES,
        description="Encoded picture (JPEG, PNG, WebP, ...), base64 in JSON; at most 700,000 bytes raw",
    )


class UrlImage(Model):
    """A picture that the worker fetches over HTTP."""

    kind: Literal["url"] = "url"
    url: str = Field(
        pattern=r"^https?://[^\s]+$", max_length=2048, description="Absolute http or https URL of the picture"
    )
    sha256: Sha256 = None


class S3Image(Model):
    """A picture in an object store."""

    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, KEEP_WHITESPACE] = Field(pattern=r"^[a-z0-9.-]{3,63}$", description="Bucket name")
    key: Annotated[str, KEEP_WHITESPACE] = Field(
        min_length=1, max_length=1024, description="Object key in the bucket"
    )
    sha256: Sha256 = None


class FileImage(Model):
    """A picture in a folder that is configured in the workers by name (LOOKSTREAM_IMAGES_ROOTS)."""

    kind: Literal["file"] = "file"
    root: Annotated[str, KEEP_WHITESPACE] = Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of the folder in the settings"
    )
    path: Annotated[str, KEEP_WHITESPACE] = Field(
        min_length=1, max_length=1024, description="Path relative to that folder, with / as separator"
    )
    sha256: Sha256 = None


ImageRef = Annotated[InlineImage | UrlImage | S3Image | FileImage, Field(discriminator="kind")]


class ItemFacts(LenientModel):
    """Facts of an item other than its pictures; all fields are optional."""

    title: str | None = Field(None, max_length=500, description="Title, plain text")
    category: str | None = Field(None, max_length=200, description="Product category, as named by the source")
    brand: str | None = Field(None, max_length=200, description="Brand or merchant of a catalog item")
    creator: str | None = Field(None, max_length=200, description="Author of a social post")
    price: Decimal | None = Field(
        None, ge=0, le=10**12, decimal_places=4, description="Price in units of `currency`"
    )
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of `price`")
    in_stock: bool | None = Field(None, description="Whether the item is available now")
    tags: Annotated[
        tuple[Name, ...],
        Field(max_length=50, description="Free keywords; up to 50, of 1 to 200 characters"),
        NullElements(),
    ] = ()
    created_at: Moment | None = Field(
        None, description="Time of creation or publication; RFC 3339 with a UTC offset"
    )
    url: str | None = Field(
        None, pattern=r"^https?://[^\s]+$", max_length=2048, description="URL of the item's web page"
    )
    moderation: Annotated[Labels, NullElements()] = ()
    attributes: Annotated[
        dict[Name, Annotated[str, Field(max_length=500)]],
        Field(
            max_length=50, description="Further attributes, name to value; up to 50, values of up to 500 characters"
        ),
        NullElements(),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _require_currency(self) -> Self:
        if self.price is not None and self.currency is None:
            raise ValueError("`price` needs `currency`: set its ISO 4217 code, for example EUR")
        return self


class ItemUpserted(ItemFacts):
    """An item is new or changed: the event contains its complete state."""

    schema_: Literal["item.upserted/1"] = Field(
        "item.upserted/1", alias="schema", description="Name and version of this event"
    )
    tenant: Tenant = "default"
    item_id: ItemId
    source: Source = "catalog"
    revision: Revision
    images: tuple[ImageRef, ...] = Field(
        min_length=1, max_length=MAX_IMAGES, description="1 to 8 pictures; the first one is the main picture"
    )
    objects: Objects | None = Field(
        None,
        description="Index each thing in the pictures too, so that searches find it there. none: the pictures "
        "alone. auto: the things of a picture with several. all: each thing that is found, up to 5 a picture. By "
        "default as the system is set: auto for social posts, none for other items",
    )


class ItemPatched(LenientModel):
    """Some facts of an item changed, but not its pictures, so no picture is embedded again."""

    schema_: Literal["item.patched/1"] = Field(
        "item.patched/1", alias="schema", description="Name and version of this event"
    )
    tenant: Tenant = "default"
    item_id: ItemId
    source: Source = "catalog"
    revision: Revision
    facts: ItemFacts = Field(
        description="The facts that changed; omitted fields keep their values, and null removes a fact"
    )

    @field_serializer("facts")
    def _serialize_changes(self, facts: ItemFacts) -> dict[str, object]:
        """The facts that were set, with null for those to remove: a default must not replace the item's value."""
        return facts.model_dump(mode="json", exclude_unset=True)


class ItemDeleted(LenientModel):
    """An item was deleted."""

    schema_: Literal["item.deleted/1"] = Field(
        "item.deleted/1", alias="schema", description="Name and version of this event"
    )
    tenant: Tenant = "default"
    item_id: ItemId
    source: Source = "catalog"
    revision: Revision


ItemEvent = ItemUpserted | ItemPatched | ItemDeleted


def item_key(tenant: str, item_id: str) -> str:
    """The Kafka key of an item: it keeps all events of the item in one partition, in order."""
    return f"{tenant}:{item_id}"


def split_item_key(key: str) -> tuple[str, str]:
    """Split a key into tenant and item id; raises ValueError if it is not `tenant:item_id`."""
    tenant, colon, item_id = key.partition(":")
    if not colon or not item_id or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", tenant):
        raise ValueError(f"an item's key is `tenant:item_id`, not {key[:80]!r}")
    return tenant, item_id


def revision_at(moment: datetime) -> int:
    """The default revision of an event: its time in microseconds since 1970."""
    return microseconds_since_1970(moment)
