"""Pages of other sites: those that the settings name may search from the browser, and do nothing else."""

import httpx
import pytest
from pydantic import ValidationError

from infra.config.gateway import GatewaySettings
from tests.producers.gateway.conftest import MakeClient

SHOP, EVIL = "https://shop.example", "https://evil.example"
KEY = "a-token-for-everything"
TOKENS = [{"token": KEY, "uses": ["search", "write", "operate"]}]
SEARCH = {"item_id": "a", "deadline_ms": 50}


@pytest.fixture
def gateway(make_client: MakeClient) -> httpx.Client:
    return make_client(origins=[SHOP], tokens=TOKENS)


def headers_of(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {KEY}"}


def test_a_page_of_a_named_site_may_search(gateway: httpx.Client) -> None:
    response = gateway.post("/v1/search", json=SEARCH, headers=headers_of(SHOP))
    assert response.status_code not in (401, 403)
    assert response.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in response.headers


def test_a_browser_learns_before_that_it_may(gateway: httpx.Client) -> None:
    requested = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    allowed = gateway.options("/v1/search", headers={"Origin": SHOP, **requested})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SHOP)
    refused = gateway.options("/v1/search", headers={"Origin": EVIL, **requested})
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_a_named_site_may_not_write_whatever_its_token_allows(gateway: httpx.Client) -> None:
    headers = headers_of(SHOP)
    for method, path, body in (("POST", "/v1/items", {"item_id": "a"}), ("DELETE", "/v1/items/a", None)):
        assert gateway.request(method, path, json=body, headers=headers).status_code == 403, path
    assert gateway.get("/metrics", headers=headers).status_code == 403


def test_a_page_of_another_site_is_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/v1/search", json=SEARCH, headers=headers_of(EVIL))
    assert response.status_code == 403
    assert "LOOKSTREAM_GATEWAY_ORIGINS" in response.text
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", ["*", "null", "shop.example", "https://shop.example/page", "https://*.example"])
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    with pytest.raises(ValidationError, match="origins"):
        GatewaySettings(origins=(origin,))
