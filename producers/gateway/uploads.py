"""Uploads: pictures of a request body as inline images; large ones are shrunk, each in a process of its own."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from producers.gateway.problem_details import Problem
from producers.gateway.shrink_process import EXIT_REFUSED
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, InlineImage

MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
"""First bytes of JPEG, PNG and WebP files; other data never reaches a decoder."""
TIMEOUT_SECONDS = 10.0
MAX_PROCESSES = 2
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
"""The whole environment of such a process; other variables may hold secrets."""


class Uploads:
    """Turns uploaded files into inline images; for the tasks of one event loop."""

    def __init__(self, max_processes: int = MAX_PROCESSES) -> None:
        self._slots = asyncio.Semaphore(max_processes)

    async def picture(self, data: bytes) -> InlineImage:
        """The inline image; raises Problem (415) unless it is JPEG, PNG or WebP, Rejected if it is unreadable."""
        if not data.startswith(MAGIC):
            raise Problem(415, "the file is not a picture of a supported format: send a JPEG, a PNG or a WebP")
        if len(data) <= MAX_INLINE_BYTES:
            return InlineImage(data=data)
        async with self._slots:
            return InlineImage(data=await _shrink(data))


async def _shrink(data: bytes) -> bytes:
    arguments = ["-n", "10", sys.executable, "-W", "ignore", "-m", "producers.gateway.shrink_process"]
    process = await asyncio.create_subprocess_exec(  # low priority: requests without shrinking go first
        "nice", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT, cwd=ROOT
    )
    try:
        shrunk, error_output = await asyncio.wait_for(process.communicate(data), TIMEOUT_SECONDS)
    except TimeoutError:
        message = f"shrinking the picture takes more than {TIMEOUT_SECONDS:g} s: send a smaller one"
        raise Rejected(Code.IMAGE_CRASHED, message) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == EXIT_REFUSED:
        code, _, message = error_output.decode("utf-8", "replace").partition(" ")
        raise Rejected(Code(code), message)
    if process.returncode or not shrunk:
        raise Rejected(Code.IMAGE_CRASHED, "the picture ends the process that shrinks it: send another one")
    return shrunk
