"""Pictures that are fetched before anybody asks for them."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import ClassVar

import pytest

from infra.images import Images
from infra.prefetch import AVERAGE_BYTES, FORGET_SECONDS, Prefetch
from infra.settings import Images as ImageSettings
from schemas.failures import Code, TryLater
from schemas.items import ImageRef, InlineImage
from tests.infra.picture_host import PICTURE, Handler, assert_fails, at, images, serving


class Counted(Handler):
    """Counts how often it is asked for what."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def counted() -> Iterator[int]:
    Counted.asked.clear()
    with serving(Counted) as port:
        yield port


def wait_for_asked(number: int) -> None:
    until = time.monotonic() + 30
    while len(Counted.asked) < number:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_was_begun_is_fetched_once_and_given_to_whoever_asks_first(counted: int) -> None:
    refs: list[ImageRef] = [at(counted, "/ok.png"), InlineImage(data=b"a"), at(counted, "/png-as-bytes")]
    with images() as opened:
        ahead = Prefetch(opened)
        ahead.begin(refs[:2])
        ahead.begin(refs[:2])
        wait_for_asked(1)
        assert ahead.fetch_all([*refs, refs[0]]) == [PICTURE, b"a", PICTURE, PICTURE]
        assert sorted(Counted.asked) == ["/ok.png", "/png-as-bytes"]
        assert ahead.fetch_all(refs[:1]) == [PICTURE]  # it was given away
    assert Counted.asked.count("/ok.png") == 2


def test_a_failure_ahead_is_the_batchs_failure(counted: int) -> None:
    with images() as opened:
        ahead = Prefetch(opened)
        ahead.begin([at(counted, "/503")])
        [failure] = ahead.fetch_all([at(counted, "/503")])
    assert_fails(failure, TryLater, Code.IMAGE_UNREACHABLE)
    assert Counted.asked == ["/503"]


def test_what_nobody_asks_for_is_forgotten(counted: int) -> None:
    now = [0.0]
    with images() as opened:
        ahead = Prefetch(opened, clock=lambda: now[0])
        ahead.begin([at(counted, "/ok.png")])
        wait_for_asked(1)
        now[0] = FORGET_SECONDS + 1
        ahead.begin([])
        assert ahead.fetch_all([at(counted, "/ok.png")]) == [PICTURE]
    assert len(Counted.asked) == 2


def test_nothing_more_is_begun_when_there_is_no_room(counted: int) -> None:
    refs = [at(counted, "/ok.png"), at(counted, "/png-as-bytes")]
    with images() as opened:
        ahead = Prefetch(opened, AVERAGE_BYTES)
        ahead.begin(refs)
        wait_for_asked(1)
        assert ahead.fetch_all(refs[:1]) == [PICTURE]
        assert Counted.asked == ["/ok.png"]
        assert ahead.fetch_all(refs[1:]) == [PICTURE]


def test_a_picture_that_hangs_takes_no_longer_for_having_been_begun(port: int) -> None:
    settings = ImageSettings(allow_http=True, allow_hosts=("127.0.0.1",))
    with closing(Images(settings, patience_s=0.3)) as opened:
        ahead = Prefetch(opened)
        ahead.begin([at(port, "/drip-body")])
        began = time.monotonic()
        [failure] = ahead.fetch_all([at(port, "/drip-body")])
        assert_fails(failure, TryLater, Code.IMAGE_TIMEOUT)
        assert time.monotonic() - began < 5
