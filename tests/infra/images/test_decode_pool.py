"""Decoding in child processes: the same pixels, and after any failure of a process the next picture decodes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits, decode, shrink
from infra.images.decode_pool import DecodePool
from infra.images.decode_process import CropBox
from infra.images.decoder_child import ProcessLimits
from schemas.failures import Code, Rejected, Unavailable
from schemas.searches import Crop
from tests.conftest import draw_disc
from tests.infra.images.drawn import KINDS, encoded

LIMITS = DecodeLimits()
DISC = draw_disc("#cc2222")


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecodePool]:
    with closing(DecodePool(2)) as opened:
        yield opened


def noise(width: int, height: int, kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return encoded(Image.fromarray(pixels), kind)


def rejected(decoders: DecodePool, data: bytes, limits: DecodeLimits = LIMITS) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decoders.decode(data, limits)
    return caught.value


def assert_same(decoders: DecodePool, data: bytes, crop: Crop | None = None) -> None:
    here, there = decode(data, LIMITS, crop), decoders.decode(data, LIMITS, crop)
    assert (here.width, here.height, here.image.size) == (there.width, there.height, there.image.size)
    assert here.image.tobytes() == there.image.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crop", [None, Crop(x=0.3, y=0.1, w=0.4, h=0.77)])
def test_a_process_gives_the_same_picture(decoders: DecodePool, kind: str, crop: Crop | None) -> None:
    assert_same(decoders, noise(301, 207, kind), crop)


def test_a_process_reduces_large_pictures_just_so(decoders: DecodePool) -> None:
    assert_same(decoders, noise(2400, 1600, "JPEG"), Crop(x=0.3, y=0.1, w=0.4, h=0.77))


def test_a_process_refuses_in_the_same_words_by_the_limits_of_the_caller(decoders: DecodePool) -> None:
    for data in (b"", b"<html>", DISC[:80], noise(15, 99, "PNG")):
        with pytest.raises(Rejected) as caught:
            decode(data, LIMITS)
        failure = rejected(decoders, data)
        assert (failure.code, failure.message) == (caught.value.code, caught.value.message)
    assert rejected(decoders, DISC, DecodeLimits(max_pixels=9_000)).code is Code.IMAGE_TOO_LARGE


def test_a_process_shrinks_just_so(decoders: DecodePool) -> None:
    data = noise(1_700, 900, "PNG")
    assert decoders.shrink(data, LIMITS, 300_000) == shrink(data, LIMITS, 300_000)
    with pytest.raises(Rejected) as caught:
        decoders.shrink(b"<html>", LIMITS, 300_000)
    assert caught.value.code is Code.IMAGE_FORMAT


def test_a_process_starts_when_it_is_needed_if_the_pool_is_not_eager() -> None:
    with closing(DecodePool(2, eager=False)) as pool:
        assert pool.pids() == []
        assert_same(pool, DISC)
        assert_same(pool, DISC)
        assert len(pool.pids()) == 1


def test_a_process_can_leave_the_processor_to_others() -> None:
    with closing(DecodePool(1, ProcessLimits(niceness=3))) as pool:
        assert_same(pool, DISC)
        assert os.getpriority(os.PRIO_PROCESS, pool.pids()[0]) == min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19)


def test_eyes_see_the_same_through_processes(decoders: DecodePool) -> None:
    encoder, colours = open_encoder("fake", TorchSettings()), make_colour_extractor()
    with ThreadPoolExecutor(2) as pool:
        here = ImageEmbedder(encoder, colours, LIMITS, pool).embed([DISC, b"<html>"])
        there = ImageEmbedder(encoder, colours, LIMITS, pool, decoders.decode).embed([DISC, b"<html>"])
    assert isinstance(here[0], Look)
    assert isinstance(there[0], Look)
    assert np.array_equal(here[0].vector, there[0].vector)
    assert isinstance(there[1], Rejected)


def test_many_threads_share_a_few_processes(decoders: DecodePool) -> None:
    pictures = [noise(40 + n, 50, "PNG") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: decoders.decode(data, LIMITS).width, pictures * 4))
    assert found == [40 + n for n in range(16)] * 4
    assert len(decoders.pids()) == 2


def test_a_process_that_died_in_between_is_replaced() -> None:
    with closing(DecodePool(1)) as one:
        for _ in range(3):
            assert_same(one, DISC)
            os.kill(one.pids()[0], signal.SIGKILL)


def test_a_picture_outlives_one_death_of_its_process() -> None:
    with closing(DecodePool(1)) as one, ThreadPoolExecutor(1) as pool:
        assert_same(one, DISC)
        [pid] = one.pids()
        os.kill(pid, signal.SIGSTOP)
        found = pool.submit(one.decode, DISC, LIMITS)
        os.kill(pid, signal.SIGKILL)
        assert found.result(30).width == 96
        assert one.pids() != [pid]


def test_a_picture_that_ends_its_process_again_is_rejected_and_the_next_one_is_fine() -> None:
    with closing(DecodePool(1)) as one:
        # Decoding divides by the width of the crop: an unexpected error, as a damaged file may raise.
        with pytest.raises(Rejected) as caught:
            one.decode(DISC, LIMITS, CropBox(0, 0, 0, 1))
        assert (caught.value.code, "ends the process" in caught.value.message) == (Code.IMAGE_CRASHED, True)
        assert_same(one, DISC)


def test_a_picture_that_takes_too_long_is_rejected_and_the_next_one_is_fine() -> None:
    with closing(DecodePool(1, ProcessLimits(seconds=0.5))) as one:
        assert_same(one, DISC)
        os.kill(one.pids()[0], signal.SIGSTOP)
        failure = rejected(one, DISC)
        assert (failure.code, "0.5 s" in failure.message) == (Code.IMAGE_CRASHED, True)
        assert_same(one, DISC)


def test_a_picture_that_takes_too_much_memory_is_rejected_and_the_next_one_is_fine() -> None:
    with closing(DecodePool(1, ProcessLimits(memory=200 << 20))) as one:
        failure = rejected(one, encoded(Image.new("RGBA", (4400, 4400), (9, 9, 9, 9)), "PNG"))
        assert (failure.code, "memory" in failure.message) == (Code.IMAGE_TOO_LARGE, True)
        assert_same(one, DISC)


def test_a_process_is_replaced_after_its_share_of_pictures() -> None:
    with closing(DecodePool(1, ProcessLimits(pictures=2))) as one:
        pids = []
        for _ in range(5):
            assert_same(one, DISC)
            pids += one.pids()
    first, second, third = pids[0], pids[2], pids[4]
    assert pids == [first, first, second, second, third]
    assert len({first, second, third}) == 3


def test_what_ends_workers_by_the_group_leaves_decoding_to_those_who_drain() -> None:
    with closing(DecodePool(1)) as one:
        assert_same(one, DISC)
        [pid] = one.pids()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert_same(one, DISC)
        assert one.pids() == [pid]


def test_a_worker_whose_processes_do_not_start_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with closing(DecodePool(1)) as one, pytest.raises(Unavailable):
        one.decode(DISC, LIMITS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_QDRANT_API_KEY", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with closing(DecodePool(1)) as one:
        assert_same(one, DISC)
        assert b"canary" not in Path(f"/proc/{one.pids()[0]}/environ").read_bytes()


PARENT = """
import sys, time
from infra.images.decode_pool import DecodePool
decoders = DecodePool(2)
print(*decoders.pids(), flush=True)
time.sleep(60)
"""


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc/self").exists() else True


def test_processes_end_with_a_parent_that_is_killed() -> None:
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while any(map(exists, pids)):
        assert time.monotonic() < until, "a process outlives its parent"
        time.sleep(0.01)
