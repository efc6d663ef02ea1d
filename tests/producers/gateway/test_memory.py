"""What was asked, for whoever asks again."""

import asyncio

import pytest

from producers.gateway.memory import Memory


def test_who_stops_waiting_does_not_end_it_for_the_others() -> None:
    async def both() -> str:
        may_answer, memory = asyncio.Event(), Memory[str]()

        async def answer() -> str:
            await may_answer.wait()
            return "found"

        first, second = (asyncio.create_task(memory.ask("a", b"", answer).outcome()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_answer.set()
        return await second

    assert asyncio.run(both()) == "found"
