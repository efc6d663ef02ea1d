"""Pictures in a request body: small ones travel as they are, others are shrunk, each in a process of its own."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from producers.gateway.problem_details import Problem
from producers.gateway.shrink_process import REFUSED
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, InlineImage

MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
"""How JPEG, PNG and WebP begin: a decoder is shown nothing else."""
SECONDS = 10.0
AT_A_TIME = 2
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
"""All that such a process knows of the environment: the rest may hold secrets."""


class Uploads:
    """Makes pictures of uploads; for the tasks of one event loop."""

    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        self._turn = asyncio.Semaphore(at_a_time)

    async def picture(self, data: bytes) -> InlineImage:
        """The picture as it travels; raises Rejected when it cannot be read, Problem when it is none."""
        if not data.startswith(MAGIC):
            raise Problem(415, "the file is no picture that is taken here: send a JPEG, a PNG or a WebP")
        if len(data) <= MAX_INLINE_BYTES:
            return InlineImage(data=data)
        async with self._turn:
            return InlineImage(data=await _shrunk(data))


async def _shrunk(data: bytes) -> bytes:
    words = ["-n", "10", sys.executable, "-W", "ignore", "-m", "producers.gateway.shrink_process"]
    process = await asyncio.create_subprocess_exec(  # requests that need no shrinking go first
        "nice", *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT, cwd=ROOT
    )
    try:
        small, said = await asyncio.wait_for(process.communicate(data), SECONDS)
    except TimeoutError:
        message = f"shrinking the picture takes more than {SECONDS:g} s: send a smaller one"
        raise Rejected(Code.IMAGE_CRASHED, message) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == REFUSED:
        code, _, message = said.decode("utf-8", "replace").partition(" ")
        raise Rejected(Code(code), message)
    if process.returncode or not small:
        raise Rejected(Code.IMAGE_CRASHED, "the picture ends the process that shrinks it: send another one")
    return small
