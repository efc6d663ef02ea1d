"""Qdrant settings (LOOKSTREAM_QDRANT_*): connection and collection."""

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator


class QdrantSettings(BaseModel):
    """Connection to Qdrant and its collection; without `url`, the embedded engine of `lookstream up`."""

    url: str | None = Field(
        None,
        description="http(s)://host:port of a Qdrant server, or of several nodes of a cluster with commas between "
        "them, tried in turn; empty: the embedded engine",
    )
    api_key: SecretStr | None = Field(None, description="API key of the server")
    grpc_port: int = Field(6334, ge=1, le=65_535, description="gRPC port of the server")
    collection: str = Field("lookstream", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Collection name")
    timeout_s: float = Field(10, gt=0, le=600, description="Seconds that a call may take")
    shards: int = Field(1, ge=1, le=1_000, description="Shards of a new collection")
    replicas: int = Field(1, ge=1, le=10, description="Replicas of a new collection")

    @field_validator("url")
    @classmethod
    def _check_urls(cls, url: str | None) -> str | None:
        for one in _split(url or ""):
            parts = urlsplit(one)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError(
                    "each must be like http://host:6333 or https://host:6333, with commas between them"
                )
        return url

    @property
    def urls(self) -> tuple[str, ...]:
        """The node URLs in `url`; empty for the embedded engine."""
        return _split(self.url or "")

    @property
    def places(self) -> tuple[str, ...]:
        """The gRPC address of each node, for messages; contains no password."""
        parts = map(urlsplit, self.urls)
        return tuple(f"{one.scheme}://{one.hostname}:{self.grpc_port}" for one in parts)


def _split(url: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in url.split(",") if one.strip())
