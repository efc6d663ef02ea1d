"""Thirty hostile requests: each is refused with a problem document that reveals nothing."""

import httpx
import pytest

from tests.producers.conftest import png
from tests.producers.gateway.conftest import MakeClient

TOKEN = "a-long-secret"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
CROSS = AUTHORISED | {"Sec-Fetch-Site": "cross-site"}
SAME_SITE = AUTHORISED | {"Sec-Fetch-Site": "same-site"}
SEARCH = b'{"item_id": "a"}'
JSON = {"Content-Type": "application/json"}
SCRIPT = "<script>alert(1)</script>"

NO_TOKEN = [
    ("POST", "/v1/search", {}, SEARCH),
    ("POST", "/v1/facets", {}, b"{}"),
    ("POST", "/v1/items", {}, b"{}"),
    ("DELETE", "/v1/items/a", {}, b""),
    ("GET", "/v1/items", {}, b""),
    ("GET", "/v1/status", {}, b""),
    ("GET", "/v1/openapi.json", {}, b""),
    ("GET", "/v1/pictures/0/a", {"Authorization": "Basic YTpi"}, b""),
    ("GET", "/v1/status", {"Authorization": f"Bearer {TOKEN}x"}, b""),
    ("GET", "/v1/status", {"Cookie": f"token={TOKEN}"}, b""),
    ("GET", f"/v1/status?token={TOKEN}", {}, b""),
]
OTHER_SITES = [
    ("POST", "/v1/search", CROSS | JSON, SEARCH),
    ("POST", "/v1/items", CROSS | JSON, b"{}"),
    ("DELETE", "/v1/items/a", CROSS, b""),
    ("DELETE", "/v1/items/a", SAME_SITE, b""),
    ("POST", "/v1/facets", SAME_SITE | JSON, b"{}"),
]
TOO_LARGE = [
    ("POST", "/v1/search", AUTHORISED | JSON, b"x" * 1_000_001),
    ("POST", "/v1/items", AUTHORISED | JSON, b"[" * 1_000_001),
]
OUTSIDE = [
    ("GET", "/page/..%2f..%2f..%2fetc%2fpasswd", AUTHORISED, b""),
    ("GET", "/v1/../../etc/passwd", AUTHORISED, b""),
    ("GET", "/static/../app.py", AUTHORISED, b""),
    ("GET", "/v1/searches/..%2f..%2fetc", AUTHORISED, b""),
    ("GET", "/v1/pictures/one/a", AUTHORISED, b""),
]
NONSENSE = [
    ("POST", "/v1/search", AUTHORISED | JSON, b"[" * 100_000),
    (
        "POST",
        "/v1/search",
        AUTHORISED | JSON,
        b'{"item_id": "a", "image": {"kind": "file", "root": "/", "path": "etc/passwd"}}',
    ),
    ("POST", "/v1/search", AUTHORISED | JSON | {"Idempotency-Key": SCRIPT}, SEARCH),
    ("POST", "/v1/search", AUTHORISED | {"Content-Type": "text/html"}, SCRIPT.encode()),
    ("POST", f"/v1/items?{SCRIPT}", AUTHORISED | JSON, b'{"item_id": "<script>alert(1)</script>"}'),
    ("PUT", "/v1/items/a", AUTHORISED, b""),
    ("TRACE", "/v1/status", AUTHORISED, b""),
]
ALL = [*NO_TOKEN, *OTHER_SITES, *TOO_LARGE, *OUTSIDE, *NONSENSE]


def test_thirty_hostile_requests_are_refused_and_taught_nothing(make_client: MakeClient) -> None:
    client = make_client(token=TOKEN, max_bytes=1_000_000)
    assert len(ALL) >= 30
    for method, path, headers, body in ALL:
        response = client.request(method, path, headers=headers, content=body)
        assert 400 <= response.status_code < 500, (method, path, response.status_code, response.text)
        assert not response.headers["content-type"].startswith("text/html")
        assert response.headers["x-content-type-options"] == "nosniff"
        for secret in (TOKEN, "Traceback", "/work", "root:"):
            assert secret not in response.text


def test_text_of_a_request_in_an_error_is_never_html(make_client: MakeClient) -> None:
    response = make_client().get(f"/v1/searches/{SCRIPT}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil"])
def test_a_foreign_host_name_is_refused(make_client: MakeClient, host: str) -> None:
    response: httpx.Response = make_client().get("/v1/status", headers={"Host": host})
    assert response.status_code == 400


def test_a_picture_named_like_a_path_is_a_picture_like_any_other(make_client: MakeClient) -> None:
    files = {"picture": ("../../etc/passwd", png())}
    response = make_client().post("/v1/search", files=files, data={"request": '{"deadline_ms": 50, "top_k": 1000}'})
    assert response.status_code == 422
