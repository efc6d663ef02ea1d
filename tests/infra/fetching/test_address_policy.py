"""Which addresses may be fetched: a table of forbidden ones, and known tricks with host names."""

import socket

import pytest

from infra.config.images import ImageSettings
from infra.fetching.address_policy import (
    check_addresses,
    check_url,
    is_listed,
    is_public,
    redact_url,
    resolution_failure,
)
from schemas.failures import Code, Rejected
from schemas.items import UrlImage
from tests.infra.fetching.picture_host import ask, assert_fails, fetch


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "\uff11\uff12\uff17.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    found = fetch(UrlImage(url=f"http://{host}/ok.png"), allow_hosts=())
    message = assert_fails(found, Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ALLOW_HOSTS" in message


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@127.0.0.1/a.png",
        "http://127.0.0.1@evil.test/a.png",
        "http://127.0.0.1\\@evil.test/a.png",
        "http://evil.test:8080/a.png",
        "http://evil.test:0/a.png",
        "http://a..b/a.png",
        "http://.evil.test/a.png",
        "http://evil.test%2f.good.test/a.png",
        "http://[fe80::1%25eth0]/a.png",
        "http://[::1/a.png",
        "http://127.0.0.1:99999/a.png",
        "http:///a.png",
        "http://127.0.0.1/\u202ea.png",
        f"http://{'a' * 64}.test/",
        f"http://{'a.' * 150}test/",
    ],
)
def test_an_address_with_a_trick_in_it_is_refused(url: str) -> None:
    assert_fails(fetch(UrlImage(url=url)), Rejected, Code.SOURCE_REFUSED)


def test_plain_http_is_refused_unless_allowed(port: int) -> None:
    message = assert_fails(ask(port, "/ok.png", allow_http=False), Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ALLOW_HTTP" in message


def test_an_address_is_sent_in_ascii() -> None:
    checked = check_url("https://B\u00fccher.Example/\u00e4 b?q=\u00fc", ImageSettings())
    assert checked == ("xn--bcher-kva.example", "https://xn--bcher-kva.example:443/%C3%A4%20b?q=%C3%BC")


def test_only_the_hosts_of_a_list_are_asked_where_there_is_one() -> None:
    settings = ImageSettings(only_hosts=("CDN.test", ".shop.test"))
    for url in ("https://cdn.test/a", "https://a.b.shop.test/a"):
        check_url(url, settings)
    for url in ("https://shop.test/a", "https://evil-cdn.test/a", "https://cdn.test.evil.test/a"):
        with pytest.raises(Rejected, match="LOOKSTREAM_IMAGES_ONLY_HOSTS"):
            check_url(url, settings)


def test_messages_hold_neither_query_nor_credentials() -> None:
    url = "https://user:word@example.com/a.png?token=secret#part"
    assert redact_url(url) == "https://example.com/a.png"
    message = assert_fails(fetch(UrlImage(url=url)), Rejected, Code.SOURCE_REFUSED)
    assert "word" not in message
    assert "secret" not in message


BAD = """
    0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
    2001::1 2001:db8::1 2002:7f00:1:: fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 nonsense
"""
GOOD = ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", BAD.split())
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", GOOD)
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    check_addresses("cdn.test", GOOD, ())
    for place in range(len(GOOD) + 1):
        with pytest.raises(Rejected):
            check_addresses("cdn.test", [*GOOD[:place], "10.0.0.1", *GOOD[place:]], ())
    check_addresses("cdn.test", ["10.0.0.1"], ["cdn.test"])


def test_an_allowed_host_is_a_whole_name_or_below_a_leading_dot() -> None:
    allowed = ("cdn.local", ".Shop.test")
    assert is_listed("cdn.local", allowed)
    assert is_listed("a.shop.test", allowed)
    assert not is_listed("evil-cdn.local", allowed)
    assert not is_listed("shop.test", allowed)
    assert not is_listed("cdn.local.evil.test", allowed)


def test_a_name_that_does_not_exist_gets_fewer_tries_than_a_resolver_that_is_away() -> None:
    assert resolution_failure("a.test", socket.gaierror(socket.EAI_NONAME, "not known")).tries == 1
    assert resolution_failure("a.test", socket.gaierror(socket.EAI_AGAIN, "try again")).tries == 3
