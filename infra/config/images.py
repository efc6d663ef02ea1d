"""Image settings (LOOKSTREAM_IMAGES_*): allowed sources of pictures, by tenant, and size limits."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator

DEFAULT_TENANT, EVERY_TENANT = "default", "*"
CONTENT_ROOT = "_content"
"""Name of the local content store in file references; no folder of LOOKSTREAM_IMAGES_ROOTS may have it."""


class ImageRoot(BaseModel):
    """A folder that events may name, and the tenants whose pictures it contains."""

    path: Path
    tenants: tuple[str, ...] = (DEFAULT_TENANT,)

    def is_open_to(self, tenant: str) -> bool:
        """Whether events and requests of a tenant may name this folder."""
        return tenant in self.tenants or EVERY_TENANT in self.tenants


def as_root(value: object) -> object:
    """Convert a plain path to a folder of the default tenant."""
    return {"path": value} if isinstance(value, str | Path) else value


class ImageSettings(BaseModel):
    """Allowed sources of pictures, and size limits."""

    roots: dict[str, Annotated[ImageRoot, BeforeValidator(as_root)]] = Field(
        default_factory=dict,
        description='Named folders, as {"shop": "/data/shop"}; of other tenants than `default`, as '
        '{"shop": {"path": "/data/shop", "tenants": ["ana"]}}, where ["*"] are all',
    )
    max_bytes: int = Field(
        50_000_000, ge=1_000, description="Largest encoded picture, with the headers it comes with, in bytes"
    )
    max_pixels: int = Field(
        100_000_000, ge=256, description="Largest picture, width times height; some formats have lower limits"
    )
    fetch_seconds: float = Field(7, gt=0, le=60, description="Seconds that one download may take in all")
    per_host: int = Field(4, ge=1, le=16, description="Pictures that are fetched from one host at a time")
    allow_http: bool = Field(default=False, description="Whether plain http:// pictures are fetched")
    allow_hosts: tuple[str, ...] = Field((), description='Hosts that may be on a private network, as ["cdn.local"]')
    only_hosts: tuple[str, ...] = Field(
        (), description='The only hosts that serve pictures, as ["cdn.com", ".shop.com"]; empty: any public host'
    )
    cache: Path | None = Field(None, description="Folder that keeps pictures by their ETag; empty: none are kept")
    cache_mb: int = Field(500, ge=1, le=1_000_000, description="Maximum size of that folder in MB")
    s3_buckets: tuple[str, ...] = Field((), description='Buckets that may be read, as ["shop-pictures"]')
    s3_endpoint: str | None = Field(
        None, pattern=r"^https?://[^\s/@]+$", description="http(s)://host:port of the object store; empty: AWS"
    )
    s3_region: str = Field("us-east-1", description="Region of the buckets")
    s3_key_id: str | None = Field(None, description="Access key id; empty: buckets are read anonymously")
    s3_secret: SecretStr | None = Field(None, description="Secret access key")
    content_bucket: str | None = Field(
        None,
        pattern=r"^[a-z0-9.-]{3,63}(/[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)*$",
        description="Bucket, or bucket/prefix, that keeps pictures by their content, so that events only refer to "
        "them; empty: the data folder in local mode, else pictures travel in events",
    )
    content_days: float = Field(
        31,
        gt=0,
        le=3_650,
        description="Days that a picture of the content store stays after it was last sent, even if the index does "
        "not have it; dead letters, which may need it, stay 30 days",
    )
    thumbnails: int = Field(
        160, ge=0, le=512, description="Longer side in pixels of the thumbnails that the index keeps; 0: none"
    )

    @field_validator("roots")
    @classmethod
    def _check_names(cls, roots: dict[str, ImageRoot]) -> dict[str, ImageRoot]:
        if CONTENT_ROOT in roots:
            raise ValueError(f"the name {CONTENT_ROOT} belongs to the content store: choose another one")
        return roots

    @property
    def content_place(self) -> tuple[str, str] | None:
        """Bucket and key prefix ("" or with a slash at its end) of the content store; None if no bucket is set."""
        if self.content_bucket is None:
            return None
        bucket, _, prefix = self.content_bucket.partition("/")
        return bucket, f"{prefix}/" if prefix else ""

    def folders_of(self, tenant: str) -> dict[str, Path]:
        """The folders that a tenant's events may name, by name."""
        return {name: root.path for name, root in self.roots.items() if root.is_open_to(tenant)}
