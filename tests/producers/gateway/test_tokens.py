"""Tokens by use and by tenant."""

import json
from hashlib import sha256

import pytest

from infra.config.errors import SettingsError
from infra.config.gateway import GatewayToken
from infra.config.settings import read_settings
from infra.observability.redaction import redaction
from producers.gateway.tokens import TENANT_PATTERN
from schemas.items import ItemUpserted
from tests.producers.gateway.conftest import MakeClient

SEARCH, WRITE, OPERATE = "search-a-long-secret", "write-a-long-secret", "operate-a-long-secret"
TOKENS = [
    {"token": SEARCH, "uses": ["search"], "tenants": ["shop"]},
    {"sha256": sha256(WRITE.encode()).hexdigest(), "uses": ["write"], "tenants": ["shop", "other"]},
    {"token": OPERATE, "uses": ["operate"]},
]
PROBLEM = "application/problem+json"
REQUESTS = {
    "search": ("POST", "/v1/search", {"item_id": "a", "tenant": "shop", "deadline_ms": 50}),
    "facets": ("POST", "/v1/facets", {"tenant": "shop", "deadline_ms": 50}),
    "result": ("GET", "/v1/searches/x?tenant=shop", None),
    "items": ("GET", "/v1/items?tenant=shop", None),
    "put": ("POST", "/v1/items", {"tenant": "shop", "item_id": "a"}),
    "delete": ("DELETE", "/v1/items/a?tenant=shop", None),
    "outcome": ("GET", "/v1/outcomes/x", None),
    "metrics": ("GET", "/metrics", None),
}
ALLOWED = {
    SEARCH: {"search", "facets", "result", "items"},
    WRITE: {"put", "delete", "outcome"},
    OPERATE: {"metrics"},
}


@pytest.mark.parametrize("token", ALLOWED)
def test_a_token_does_what_it_is_for_and_nothing_else(make_client: MakeClient, token: str) -> None:
    client = make_client(tokens=TOKENS)
    client.headers["Authorization"] = f"Bearer {token}"
    forbidden = set()
    for name, (method, path, body) in REQUESTS.items():
        response = client.request(method, path, json=body)
        assert response.status_code != 401
        if response.status_code == 403:
            assert response.headers["content-type"] == PROBLEM
            assert token not in response.text
            forbidden.add(name)
    assert forbidden == set(REQUESTS) - ALLOWED[token]


@pytest.mark.parametrize(
    ("token", "method", "path", "body"),
    [
        (SEARCH, "POST", "/v1/search", {"item_id": "a", "tenant": "other"}),
        (SEARCH, "POST", "/v1/search", {"item_id": "a"}),
        (SEARCH, "POST", "/v1/facets", {"tenant": "other"}),
        (SEARCH, "GET", "/v1/facets?tenant=other", None),
        (SEARCH, "GET", "/v1/items/a?tenant=other", None),
        (SEARCH, "GET", "/v1/pictures/0/a", None),
        (SEARCH, "GET", "/v1/searches/a?tenant=other", None),
        (SEARCH, "GET", "/v1/status?tenant=other", None),
        (WRITE, "POST", "/v1/items", {"item_id": "a", "tenant": "third"}),
        (WRITE, "DELETE", "/v1/items/a?tenant=third", None),
    ],
)
def test_a_token_of_some_tenants_is_not_for_others(
    make_client: MakeClient, token: str, method: str, path: str, body: object
) -> None:
    client = make_client(tokens=TOKENS)
    response = client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.headers["content-type"]) == (403, PROBLEM)
    assert "tenant" in response.json()["detail"]


def test_the_one_token_searches_and_writes_and_does_not_operate(make_client: MakeClient) -> None:
    client = make_client(token=SEARCH)
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {SEARCH}"}
        assert client.get("/v1/searches/x", headers=headers).status_code == 404
        assert client.get("/v1/outcomes/x", headers=headers).status_code == 404
        assert client.get("/metrics", headers=headers).status_code == 403
    for wrong in (f"Basic {SEARCH}", SEARCH, f"Bearer {SEARCH} x", "Bearer"):
        assert client.get("/v1/searches/x", headers={"Authorization": wrong}).status_code == 401


@pytest.mark.parametrize("tenant", [" shop", "shop\n", "", "a/b", 3, "x" * 65])
def test_a_tenant_is_what_it_says_letter_by_letter(make_client: MakeClient, tenant: object) -> None:
    response = make_client().post("/v1/search", json={"item_id": "a", "tenant": tenant})
    assert response.status_code == 422
    assert "`tenant`" in response.json()["detail"]


@pytest.mark.parametrize(
    "query", ["tenant=a&tenant=b", "tenant=a&tenant=a", "tenant=a&%74enant=b", "limit=1&limit=2"]
)
def test_a_parameter_that_stands_twice_is_refused(make_client: MakeClient, query: str) -> None:
    assert make_client().get(f"/v1/items?{query}").status_code == 400


def test_the_pattern_of_tenants_is_that_of_the_events() -> None:
    tenant = ItemUpserted.model_json_schema()["properties"]["tenant"]
    assert [each["pattern"] for each in tenant["anyOf"] if "pattern" in each] == [TENANT_PATTERN]


def test_tokens_come_from_the_environment_and_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_GATEWAY_TOKENS", json.dumps(TOKENS))
    settings = read_settings()
    assert settings.gateway.tokens[0] == GatewayToken.model_validate(TOKENS[0])
    text = redaction(settings)(f"{settings.gateway.tokens!r} {SEARCH} {OPERATE}")
    assert SEARCH not in text
    assert OPERATE not in text


@pytest.mark.parametrize(
    "wrong",
    [
        [{"token": SEARCH}],
        [{"token": SEARCH, "uses": ["everything"]}],
        [{"token": SEARCH, "sha256": "0" * 64, "uses": ["search"]}],
        [{"uses": ["search"]}],
        [{"token": SEARCH, "uses": ["search"], "tenants": ["a b"]}],
        [{"token": SEARCH, "uses": ["search"], "tenant": "shop"}],
        [{"token": "short", "uses": ["search"]}],
        [{"sha256": SEARCH, "uses": ["search"]}],
    ],
)
def test_tokens_that_make_no_sense_are_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, wrong: object
) -> None:
    monkeypatch.setenv("LOOKSTREAM_GATEWAY_TOKENS", json.dumps(wrong))
    with pytest.raises(SettingsError, match="LOOKSTREAM_GATEWAY_TOKENS") as refused:
        read_settings()
    assert SEARCH not in str(refused.value)


def test_tokens_are_masked_even_where_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.observability.redaction import redact_known

    monkeypatch.setenv("LOOKSTREAM_GATEWAY_TOKENS", json.dumps(TOKENS))
    monkeypatch.setenv("LOOKSTREAM_GATEWAY_PORT", "no port")
    assert SEARCH not in redact_known(f"the token is {SEARCH}")
