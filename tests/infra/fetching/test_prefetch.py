"""Pictures that are fetched before their batch needs them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from infra.config.images import ImageSettings
from infra.fetching.fetcher import AHEAD_BYTES, ImageFetcher
from infra.fetching.prefetch import AVERAGE_BYTES, FORGET_SECONDS, Prefetch
from schemas.failures import Code, Failure, TryLater
from schemas.items import FileImage, ImageRef, InlineImage
from tests.infra.fetching.picture_host import PICTURE, Handler, assert_fails, at, images, run_server


class Counted(Handler):
    """Counts the requests of each path."""

    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()


@pytest.fixture
def counted() -> Iterator[int]:
    Counted.requests.clear()
    with run_server(Counted) as port:
        yield port


def of(ref: ImageRef, event: str = "event") -> tuple[str, ImageRef]:
    """A picture that an event names."""
    return event, ref


def fetch_ahead(ahead: Prefetch, named_refs: Sequence[tuple[str, ImageRef]]) -> list[bytes | Failure]:
    """Fetch named references, prefetched or not, in order."""
    found = {n: picture for wave in ahead.fetch_waves(named_refs) for n, picture in wave.items()}
    return [found[n] for n in range(len(named_refs))]


def wait_for_requests(number: int) -> None:
    until = time.monotonic() + 30
    while len(Counted.requests) < number:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_begun_fetch_is_used_once_by_its_first_caller(counted: int) -> None:
    refs = [of(at(counted, "/ok.png")), of(InlineImage(data=b"a")), of(at(counted, "/png-as-bytes"))]
    with images() as opened:
        ahead = Prefetch(opened)
        ahead.begin(refs[:2])
        ahead.begin(refs[:2])
        wait_for_requests(1)
        assert fetch_ahead(ahead, refs) == [PICTURE, b"a", PICTURE]
        assert sorted(Counted.requests) == ["/ok.png", "/png-as-bytes"]
        assert fetch_ahead(ahead, refs[:1]) == [PICTURE]  # it was given away
    assert Counted.requests.count("/ok.png") == 2


def test_another_event_gets_what_is_at_the_address_after_it_came(counted: int) -> None:
    """A newer event of an item may say that another picture is there now."""
    with images() as opened:
        ahead = Prefetch(opened)
        ahead.begin([of(at(counted, "/ok.png"), "older")])
        wait_for_requests(1)
        assert fetch_ahead(ahead, [of(at(counted, "/ok.png"), "newer")]) == [PICTURE]
    assert Counted.requests == ["/ok.png", "/ok.png"]


def test_a_failure_ahead_is_the_batchs_failure(counted: int) -> None:
    with images() as opened:
        ahead = Prefetch(opened)
        ahead.begin([of(at(counted, "/503"))])
        [failure] = fetch_ahead(ahead, [of(at(counted, "/503"))])
    assert_fails(failure, TryLater, Code.IMAGE_UNREACHABLE)
    assert Counted.requests == ["/503"]


def test_an_unused_prefetched_picture_is_dropped(counted: int) -> None:
    now = [0.0]
    with images() as opened:
        ahead = Prefetch(opened, clock=lambda: now[0])
        ahead.begin([of(at(counted, "/ok.png"))])
        wait_for_requests(1)
        now[0] = FORGET_SECONDS + 1
        ahead.begin([])
        assert fetch_ahead(ahead, [of(at(counted, "/ok.png"))]) == [PICTURE]
    assert len(Counted.requests) == 2


def test_nothing_more_is_begun_when_there_is_no_room(counted: int) -> None:
    refs = [of(at(counted, "/ok.png")), of(at(counted, "/png-as-bytes"))]
    with images() as opened:
        ahead = Prefetch(opened, AVERAGE_BYTES)
        ahead.begin(refs)
        wait_for_requests(1)
        assert fetch_ahead(ahead, refs[:1]) == [PICTURE]
        assert Counted.requests == ["/ok.png"]
        assert fetch_ahead(ahead, refs[1:]) == [PICTURE]


def test_a_picture_that_is_too_large_ahead_is_fetched_for_its_batch(tmp_path: Path) -> None:
    large = PICTURE.ljust(AHEAD_BYTES + 1)
    (tmp_path / "large.png").write_bytes(large)
    ref = of(FileImage(root="shop", path="large.png"))
    with images(roots={"shop": tmp_path}, max_bytes=2 * AHEAD_BYTES) as opened:
        ahead = Prefetch(opened)
        ahead.begin([ref])
        assert fetch_ahead(ahead, [ref]) == [large]


def test_a_picture_that_hangs_is_given_up_although_it_was_begun(port: int) -> None:
    settings = ImageSettings(allow_http=True, allow_hosts=("127.0.0.1",))
    with closing(ImageFetcher(settings, patience_s=0.3)) as opened:
        ahead = Prefetch(opened)
        ahead.begin([of(at(port, "/drip-body"))])
        [failure] = fetch_ahead(ahead, [of(at(port, "/drip-body"))])
        assert_fails(failure, TryLater, Code.IMAGE_TIMEOUT)
