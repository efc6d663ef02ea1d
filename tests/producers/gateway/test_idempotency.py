"""The idempotency cache: a repeated request gets the first answer."""

import asyncio

import pytest

from producers.gateway.idempotency import IdempotencyCache


def test_who_stops_waiting_does_not_end_it_for_the_others() -> None:
    async def both() -> str:
        may_answer, memory = asyncio.Event(), IdempotencyCache[str]()

        async def answer(_accepted: asyncio.Event) -> str:
            await may_answer.wait()
            return "found"

        first, second = (
            asyncio.create_task(memory.get_or_send(("shop", "a"), b"", answer).outcome()) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_answer.set()
        return await second

    assert asyncio.run(both()) == "found"


def test_the_oldest_answers_are_forgotten_when_all_together_are_too_large() -> None:
    async def ask(memory: IdempotencyCache[bytes], name: str, size: int) -> None:
        async def answer(_accepted: asyncio.Event) -> bytes:
            return bytes(size)

        await memory.get_or_send(("shop", name), b"", answer).outcome()

    async def known() -> list[str]:
        memory = IdempotencyCache[bytes](len, room=100)
        for name, size in (("a", 60), ("b", 30), ("c", 30), ("d", 1)):
            await ask(memory, name, size)
        return [name for name in "abcd" if memory.find(("shop", name))]

    assert asyncio.run(known()) == ["b", "c", "d"]
