"""The metrics of a gateway."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.metrics import GatewayMetrics
from tests.producers.gateway.conftest import MakeClient

CANARY = "canary-4711"


def samples(client: httpx.Client, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric, by those of its labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = [one for family in text_string_to_metric_families(response.text) for one in family.samples]
    return {tuple(one.labels.values()): one.value for one in found if one.name == name}


def test_requests_are_counted_by_route_and_status_and_never_by_path(client: httpx.Client) -> None:
    client.get("/healthz")
    client.get(f"/v1/searches/{CANARY}")
    client.get(f"/{CANARY}")
    client.post("/v1/search", json=[])
    client.request("BREW", "/healthz")
    counted = samples(client, "lookstream_http_requests_total")
    assert counted == {
        ("GET", "/healthz", "200"): 1,
        ("GET", "/v1/searches/{name}", "404"): 1,
        ("GET", "none", "404"): 1,
        ("POST", "/v1/search", "422"): 1,
        ("other", "/healthz", "405"): 1,
    }
    assert CANARY not in client.get("/metrics").text
    assert samples(client, "lookstream_http_seconds_count")[("/v1/search",)] == 1


def test_what_the_guard_refuses_is_counted_too(make_client: MakeClient) -> None:
    client = make_client(tokens=[{"token": "a-long-secret", "uses": ["operate"]}])
    assert client.get("/metrics").status_code == 401
    client.headers["Authorization"] = "Bearer a-long-secret"
    assert samples(client, "lookstream_http_requests_total") == {("GET", "none", "401"): 1}
    text = client.get("/metrics").text
    assert "a-long-secret" not in text
    assert "process_resident_memory_bytes" in text


def test_a_mistake_of_ours_is_counted_as_one(make_client: MakeClient) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    client = make_client(check=broken)
    assert client.get("/readyz", headers={"Connection": "close"}).status_code == 500  # the server hangs up
    assert samples(client, "lookstream_http_requests_total") == {("GET", "/readyz", "500"): 1}


@pytest.mark.parametrize("waiting", [0, 3])
def test_searches_in_flight_are_read_at_each_scrape(waiting: int) -> None:
    metrics = GatewayMetrics()
    metrics.watch_in_flight(lambda: waiting)
    metrics.result("no_match")
    text = metrics.exposition().decode()
    assert f"lookstream_http_searches_in_flight {waiting}.0" in text
    assert 'lookstream_http_results_total{status="no_match"} 1.0' in text
