"""`lookstream up`: the address by which its own parts and a browser reach the gateway."""

import pytest

from infra.local.services import page_url, reachable_host


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("192.168.1.7", "http://192.168.1.7:8080"),
    ],
)
def test_a_gateway_is_reached_where_it_listens(host: str, reached: str) -> None:
    assert page_url((reachable_host(host), 8080)) == reached
