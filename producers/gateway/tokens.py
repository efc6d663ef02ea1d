"""Access tokens: check which uses of the gateway, and which tenants, a token allows."""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, get_args

from fastapi import Depends, Query, Request
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from infra.config.gateway import GatewaySettings, GatewayToken, TokenPermission
from producers.gateway.problem_details import Problem

ACCESS = "lookstream.access"
"""Key in the ASGI scope of a request for its TokenAccess."""
DEFAULT_TENANT = "default"
TENANT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CHALLENGE = {"WWW-Authenticate": "Bearer"}

TenantName = Annotated[
    str, Query(pattern=TENANT_PATTERN, description="Owner of the items; 1 to 64 letters, digits, _ . or -")
]


@dataclass(frozen=True)
class TokenGrant:
    """Uses of the gateway that a token allows for some tenants; `tenants` is None for all tenants."""

    uses: frozenset[TokenPermission]
    tenants: frozenset[str] | None = None

    def has_tenant(self, tenant: str | None) -> bool:
        """Whether the grant covers a tenant. None, for data without a tenant, needs a grant for all tenants."""
        return self.tenants is None or tenant in self.tenants


@dataclass(frozen=True)
class TokenAccess:
    """All grants of a token."""

    grants: Sequence[TokenGrant]

    def narrowed(self, uses: Sequence[TokenPermission]) -> "TokenAccess":
        """The grants that allow at least one of these uses."""
        return TokenAccess([grant for grant in self.grants if not grant.uses.isdisjoint(uses)])

    def limited_to(self, use: TokenPermission) -> "TokenAccess":
        """The grants without any other use."""
        return TokenAccess([replace(grant, uses=grant.uses & {use}) for grant in self.grants])

    def has_tenant(self, tenant: str | None) -> bool:
        """Whether any grant covers the tenant."""
        return any(grant.has_tenant(tenant) for grant in self.grants)


EVERYTHING = TokenAccess([TokenGrant(frozenset(get_args(TokenPermission)))])


class TokenTable:
    """The configured tokens as SHA-256 digests, so that the time of a comparison reveals nothing about a token."""

    def __init__(self, settings: GatewaySettings, metrics_token: SecretStr | None = None) -> None:
        self._grants = [(_digest_of(token), _grant_of(token)) for token in settings.tokens]
        if settings.token is not None:
            self._grants.append((_digest(settings.token), TokenGrant(frozenset({"search", "write"}))))
        if metrics_token is not None and self._grants:
            self._grants.append((_digest(metrics_token), TokenGrant(frozenset({"operate"}))))

    def access(self, headers: Headers) -> TokenAccess:
        """What the token of a request allows; everything if no tokens are configured. Raises Problem (401)."""
        if not self._grants:
            return EVERYTHING
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        request_digest = sha256(credentials.strip().encode()).digest()
        grants = [grant for digest, grant in self._grants if hmac.compare_digest(digest, request_digest)]
        if scheme.lower() != "bearer" or not grants:
            raise Problem(401, "send a token of this gateway as `Authorization: Bearer ...`", CHALLENGE)
        return TokenAccess(grants)


def permit(*uses: TokenPermission) -> Any:
    """FastAPI dependency for routes of one tenant: the tenant, if the token covers it and one of the uses."""

    async def tenant(request: Request, tenant: TenantName = DEFAULT_TENANT) -> str:
        check_access(request.scope, uses, tenant)
        return tenant

    return Depends(tenant)


def permit_use(*uses: TokenPermission) -> Any:
    """FastAPI dependency for routes whose tenant, if any, is in the body: the token's grants for these uses."""

    async def access(request: Request) -> TokenAccess:
        return check_use(request.scope, uses)

    return Depends(access)


def check_use(scope: Scope, uses: Sequence[TokenPermission]) -> TokenAccess:
    """The grants of the token for these uses; raises Problem (403) if there are none."""
    access: TokenAccess = scope[ACCESS]
    narrowed = access.narrowed(uses)
    if not narrowed.grants:
        raise Problem(
            403, f"this token does not allow this request: use one whose `uses` include {' or '.join(uses)}"
        )
    return narrowed


def check_access(scope: Scope, uses: Sequence[TokenPermission], tenant: str) -> None:
    """Raise Problem (403) unless the token covers one of these uses for the tenant."""
    if not check_use(scope, uses).has_tenant(tenant):
        raise Problem(
            403, f"this token is not valid for tenant `{tenant[:64]}`: use one of its tenants, or another token"
        )


def tenant_in(fields: Mapping[str, Any]) -> str:
    """The tenant in a body, unchanged, as a proxy may judge it. Raises Problem (422) if it is invalid."""
    tenant = fields.get("tenant", DEFAULT_TENANT)
    if not isinstance(tenant, str) or not re.fullmatch(TENANT_PATTERN, tenant) or tenant.endswith("\n"):
        raise Problem(422, "`tenant` must be 1 to 64 letters, digits, _ . or -, and begin with a letter or digit")
    return tenant


def _digest(secret: SecretStr) -> bytes:
    return sha256(secret.get_secret_value().encode()).digest()


def _digest_of(token: GatewayToken) -> bytes:
    return _digest(token.token) if token.token is not None else bytes.fromhex(token.sha256 or "")


def _grant_of(token: GatewayToken) -> TokenGrant:
    return TokenGrant(frozenset(token.uses), frozenset(token.tenants) or None)
