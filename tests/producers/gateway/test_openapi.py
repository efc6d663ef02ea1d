"""The OpenAPI document agrees with the gateway."""

import httpx
import pytest

PROBLEM = "application/problem+json"
METHODS = {
    "/v1/search": {"POST"},
    "/v1/facets": {"GET", "HEAD", "POST"},
    "/v1/items": {"GET", "HEAD", "POST"},
    "/v1/items/a": {"GET", "HEAD", "DELETE"},
    "/v1/items/a/b": {"GET", "HEAD", "DELETE"},
    "/healthz": {"GET", "HEAD"},
    "/": {"GET", "HEAD"},
}


@pytest.mark.parametrize("path", METHODS)
def test_an_unknown_method_is_answered_with_the_known_ones(client: httpx.Client, path: str) -> None:
    for method in ("OPTIONS", "PATCH"):
        response = client.request(method, path)
        assert (response.status_code, response.headers["content-type"]) == (405, PROBLEM)
        assert set(response.headers["Allow"].split(", ")) == METHODS[path]


def test_head_is_answered_as_get_is_without_a_body(client: httpx.Client) -> None:
    for path in ("/", "/healthz", "/page/page.js", "/v1/searches/none", "/metrics"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_every_operation_documents_its_failures(client: httpx.Client) -> None:
    document = client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"400", "401", "403", "408", "413", "422", "429", "500", "503"} <= set(responses), (method, path)
            failing = {status: described["content"] for status, described in responses.items() if status >= "400"}
            assert all(PROBLEM in content for content in failing.values()), (method, path)
    assert "HTTPValidationError" not in str(document["paths"])
    searched = document["paths"]["/v1/search"]["post"]["responses"]
    assert {"200", "202", "415", "504"} <= set(searched)
    assert set(searched["200"]["content"]) == {"application/json", "text/event-stream"}
    assert set(searched["503"]["content"]) == {"application/json", PROBLEM}


@pytest.mark.parametrize(
    ("path", "model", "filled_in"),
    [
        ("/v1/search", "SearchRequest", "request_id"),
        ("/v1/facets", "FacetsRequest", "request_id"),
        ("/v1/items", "ItemUpserted", "revision"),
    ],
)
def test_every_body_is_described_without_what_the_gateway_fills_in(
    client: httpx.Client, path: str, model: str, filled_in: str
) -> None:
    document = client.get("/v1/openapi.json").json()
    content = document["paths"][path]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{model}"}
    schema = document["components"]["schemas"][model]
    assert filled_in in schema["properties"]
    assert filled_in not in schema["required"]


def test_tenants_have_a_pattern_wherever_they_are_named(client: httpx.Client) -> None:
    document = client.get("/v1/openapi.json").json()
    named = [
        parameter["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "tenant"
    ]
    assert len(named) >= 6
    assert all("pattern" in schema for schema in named)
