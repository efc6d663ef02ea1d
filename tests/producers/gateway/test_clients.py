"""The client of a request, by the headers of proxies."""

import pytest

from infra.config.gateway import GatewaySettings
from producers.gateway.clients import ClientAddresses, rate_key
from tests.producers.gateway.conftest import MakeClient

FORWARDED, X_FORWARDED_FOR = "forwarded", "x-forwarded-for"


def client_of(peer: str, header: str, *values: str) -> str:
    settings = GatewaySettings.model_validate({"proxies": ["10.0.0.0/8", "2001:db8::/32"], "proxy_header": header})
    headers = [(header.encode(), value.encode()) for value in values]
    return ClientAddresses(settings).client_of({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "header", "values", "client"),
    [
        ("10.0.0.1", X_FORWARDED_FOR, ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", X_FORWARDED_FOR, ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", X_FORWARDED_FOR, ["198.51.100.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("203.0.113.9", X_FORWARDED_FOR, ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", X_FORWARDED_FOR, [], "10.0.0.1"),
        ("10.0.0.1", X_FORWARDED_FOR, ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", X_FORWARDED_FOR, ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", X_FORWARDED_FOR, ["10.9.9.9"], "10.9.9.9"),
        ("::ffff:10.0.0.1", X_FORWARDED_FOR, ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", FORWARDED, ['for=198.51.100.1, for="[2001:4860::1]:4711";proto=https'], "2001:4860::1"),
        ("2001:db8::1", FORWARDED, ["proto=https;For=203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", FORWARDED, ["for=198.51.100.1, for=_hidden"], "10.0.0.1"),
        ("10.0.0.1", FORWARDED, ["by=10.0.0.2"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_proxy(
    peer: str, header: str, values: list[str], client: str
) -> None:
    assert client_of(peer, header, *values) == client


def test_the_addresses_of_one_ipv6_household_are_one_client() -> None:
    assert rate_key("2001:4860:1:2:3::1") == rate_key("2001:4860:1:2:ffff::9") != rate_key("2001:4860:1:3::1")
    assert rate_key("203.0.113.9") == "203.0.113.9"


def test_clients_behind_a_named_proxy_are_limited_each(
    make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client = make_client(per_minute=2, proxies=["127.0.0.0/8"])

    def send(address: str) -> int:
        return client.post("/v1/search", json=[], headers={X_FORWARDED_FOR: address}).status_code

    assert 429 in [send("203.0.113.9") for _ in range(10)]
    assert send("203.0.113.10") == 422
    assert "client=203.0.113.9" in capsys.readouterr().out


def test_only_trusted_proxies_can_name_the_client(make_client: MakeClient) -> None:
    client = make_client(per_minute=2)
    responses = [client.post("/v1/search", json=[], headers={X_FORWARDED_FOR: f"203.0.113.{n}"}) for n in range(10)]
    assert 429 in [response.status_code for response in responses]
