"""Attack a gateway until this process is ended: `python -m tests.chaos.gateway_attack KIND PORT COUNT`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress

HOST = "127.0.0.2"
DRIP_SECONDS = 0.5
MEGABYTES = 10_000_000
HEAD = "POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
JSON = f"{HEAD}Content-Type: application/json\r\n"
FORM = f"{HEAD}Content-Type: multipart/form-data; boundary=x\r\n"
PART = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a.jpg"\r\n\r\n\xff\xd8\xff'
OPENING = '{"a":['


async def idle(port: int) -> None:
    """Connect, and send nothing."""
    await asyncio.open_connection("127.0.0.1", port, local_addr=(HOST, 0))
    await asyncio.Event().wait()


async def drip(port: int) -> None:
    """Send request headers that never end, one byte at a time."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(HOST, 0))
    writer.write(JSON.encode())
    while True:
        writer.write(b"X: a\r\n"[:1])
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def hold(port: int) -> None:
    """Send a large picture without its last byte, again and again."""
    await _send(port, FORM, PART + bytes(MEGABYTES - len(PART) - 8), missing=1)


async def flood(port: int) -> None:
    """Send large JSON that is slow to parse, whole, again and again."""
    body = OPENING + "[]," * 600_000 + "[]]}"
    await _send(port, JSON, body.encode(), missing=0)


async def text(port: int) -> None:
    """Send JSON that is one long text, as large as a record may be."""
    await _send(port, JSON, b'{"item_id":"' + b"x" * 7_900_000 + b'"}', missing=0)


async def picture(port: int) -> None:
    """Send a large picture whole."""
    await _send(port, FORM, PART + bytes(MEGABYTES - len(PART) - 16) + b"\r\n--x--\r\n", missing=0)


async def _send(port: int, head: str, body: bytes, missing: int) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(HOST, 0))
            writer.write(f"{head}Content-Length: {len(body) + missing}\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()
            await reader.read(4_096)
            writer.close()
        await asyncio.sleep(0.1)


KINDS: dict[str, tuple[Callable[[int], Coroutine[None, None, None]], ...]] = {
    "lines": (idle, drip),
    "bodies": (hold, flood, text, picture),
}


async def attack(kind: str, port: int, count: int) -> None:
    """`count` callers of each kind of connection, or of all kinds of bodies together."""
    share = count if kind == "lines" else max(1, count // len(KINDS[kind]))
    tasks = [asyncio.create_task(call(port)) for call in KINDS[kind] for _ in range(share)]
    await asyncio.sleep(1)
    print("attacking", flush=True)
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.Event().wait()


def main() -> None:
    """Attack."""
    kind, port, count = sys.argv[1:]
    asyncio.run(attack(kind, int(port), int(count)))


if __name__ == "__main__":
    main()
