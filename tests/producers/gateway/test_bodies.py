"""Bodies: how much memory they get, who waits for it, and what is not parsed at all."""

import asyncio
import json

import pytest

from producers.gateway.bodies import MAX_WAITING, BodyPool, ReadRateLimit
from producers.gateway.problem_details import Problem
from producers.gateway.request_body import MAX_DEPTH, MAX_MARKS, parse_object
from tests.producers.conftest import png
from tests.producers.gateway.conftest import MakeClient


def test_memory_goes_to_those_who_wait_in_their_order_and_to_one_address_no_more_than_half() -> None:
    async def order() -> list[str]:
        pool, served = BodyPool(100, wait_s=30), list[str]()

        async def read(name: str, address: str, size: int) -> None:
            lease = await pool.reserve(address, size)
            served.append(name)
            await asyncio.sleep(0)
            lease.release()
            lease.release()

        first, second = await pool.reserve("a", 50), await pool.reserve("b", 50)
        tasks = [asyncio.create_task(read(*one)) for one in (("a2", "a", 50), ("c", "c", 40), ("b2", "b", 10))]
        await asyncio.sleep(0)
        second.release()
        await asyncio.sleep(0.01)
        assert served == ["c", "b2"], "the address that has had its half waits"
        first.release()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(order()) == ["c", "b2", "a2"]


def test_who_waits_too_long_for_memory_is_told_to_come_again_and_leaves_the_line() -> None:
    async def statuses() -> tuple[int, int]:
        pool = BodyPool(100, wait_s=0.05)
        lease = await pool.reserve("a", 100)
        with pytest.raises(Problem) as late:
            await pool.reserve("b", 1)
        lease.release()
        (await pool.reserve("b", 100)).release()
        return late.value.status, int(late.value.headers["Retry-After"])

    assert asyncio.run(statuses()) == (503, 5)


def test_who_leaves_while_waiting_takes_no_memory_along() -> None:
    async def leave() -> None:
        pool = BodyPool(100, wait_s=30)
        lease = await pool.reserve("a", 100)
        waiting = [asyncio.create_task(pool.reserve("b", 100)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Problem):
            await pool.reserve("b", 100)
        lease.release()  # the first of them has its memory now, and is ended before it can take it
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        (await pool.reserve("c", 100)).release()

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"[" * 19_000),
        (422, b"[" * 100_000),
        (422, b'{"a": [' + b"[]," * MAX_MARKS + b"[]]}"),
        (400, b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"),
        (400, b'{"tenant": "a", "tenant": "b"}'),
        (400, b'{"filters": {"colour": 1, "colour": 2}}'),
        (400, b'{"top_k": NaN}'),
        (400, b'{"item_id": "\xff"}'),
        (400, '{"item_id": "a"}'.encode("utf-16")),
        (400, b'{"top_k": ' + b"9" * 5_000 + b"}"),
    ],
)
def test_json_that_is_too_wide_too_deep_or_ambiguous_is_refused(status: int, body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_object(body)
    assert refused.value.status == status


def test_a_record_that_would_be_too_large_is_refused_with_its_size(make_client: MakeClient) -> None:
    client = make_client(record_bytes=100_000)
    item = {"item_id": "a", "tags": ["x" * 200] * 50, "attributes": {f"n{n}": "y" * 500 for n in range(50)}}
    pictures = [("pictures", (f"{n}.png", png() + bytes(40_000))) for n in range(2)]
    response = client.post("/v1/items", files=pictures, data={"item": json.dumps(item)})
    assert response.status_code == 413, response.text
    assert "100000" in response.json()["detail"]


def test_a_search_by_pictures_that_would_be_too_large_is_refused_too(make_client: MakeClient) -> None:
    client = make_client(record_bytes=100_000)
    response = client.post("/v1/search", files={"picture": ("a.png", png() + bytes(90_000))})
    assert response.status_code == 413, response.text


def test_those_who_read_large_bodies_share_one_rate() -> None:
    async def read_two() -> float:
        pace, began = ReadRateLimit(rate=1_000), asyncio.get_running_loop().time()
        await asyncio.gather(pace.wait(50), pace.wait(50))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(read_two()) >= 0.099
