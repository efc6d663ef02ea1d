"""Gateway settings: its address, its limits, and its access tokens."""

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, model_validator

from schemas.items import Tenant

TokenPermission = Literal["search", "write", "operate"]
"""Permissions of a token: search and read items; send and delete items; read metrics and the status."""


class GatewayToken(BaseModel):
    """A token, in plain text or as its SHA-256, with its permissions and tenants (none: all tenants)."""

    token: SecretStr | None = Field(None, min_length=8)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    uses: tuple[TokenPermission, ...] = Field(min_length=1)
    tenants: tuple[Tenant, ...] = ()

    model_config = {"extra": "forbid"}

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.token is None) == (self.sha256 is None):
            raise ValueError("give `token`, or the `sha256` of one, and not both")
        return self


def _checked_network(text: str) -> str:
    ip_network(text)
    return text


PageOrigin = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")
]
"""Origin of a page, as browsers send it (RFC 6454): scheme, host, and the port unless it is the usual one."""


Network = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_checked_network)]


class GatewaySettings(BaseModel):
    """Address, limits and access tokens of the gateway."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but a loopback one needs a token")
    port: int = Field(8400, ge=0, le=65_535, description="Port to listen on; 0: any free one")
    token: SecretStr | None = Field(
        None, description="A token for searching and writing, of all tenants: `Authorization: Bearer ...`"
    )
    tokens: tuple[GatewayToken, ...] = Field(
        (),
        description='Tokens by use and tenant, as [{"token": "...", "uses": ["search"], "tenants": ["shop"]}]; '
        "`sha256` instead of `token`; uses are search, write, operate; without `tenants` for all of them",
    )
    origins: tuple[PageOrigin, ...] = Field(
        (), description='Sites whose pages may search here from the browser, as ["https://shop.example"]'
    )
    proxies: tuple[Network, ...] = Field(
        (), description='Networks of proxies, as ["10.0.0.0/8"], that are trusted to name their client'
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for", description="The header in which these proxies name their client"
    )
    per_minute: int = Field(600, ge=1, description="Searches and item events that one address may send a minute")
    max_bytes: int = Field(
        51_000_000, ge=1_000, description="Largest request body, in bytes; JSON is a Kafka record at most"
    )
    bodies_mb: int = Field(
        72, ge=1, le=10_000, description="Memory for request bodies in MB; beyond it requests wait, then 503"
    )
    in_flight: int = Field(
        64, ge=1, le=10_000, description="Searches in progress at a time; further ones are answered with 503"
    )
    connections: int = Field(
        1_000, ge=1, le=100_000, description="Open connections; beyond it the idle and the slow ones are closed"
    )
    connections_per_address: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Open connections from one address (IPv6: one /64) that is not a trusted proxy",
    )
    request_s: float = Field(
        10, gt=0, le=600, description="Seconds for a request's head; bodies may pause for as long in all"
    )
