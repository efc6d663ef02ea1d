"""Decode pool: decodes and shrinks pictures in child processes, so that no picture can crash or stall its user."""

import queue
from collections.abc import Callable
from typing import TypeVar

from infra.images.decode import CropRegion, DecodedImage, DecodeLimits
from infra.images.decoder_child import Deadline, DecoderChild, ProcessLimits
from schemas.failures import Code, Rejected

MAX_ATTEMPTS = 2
"""Processes that one picture may end: the first may have been killed by an operator or for lack of memory."""

DEFAULT_LIMITS = ProcessLimits()
T = TypeVar("T")


class DecodePool:
    """Pool of up to `count` decoder processes, one picture at a time in each. Thread-safe.

    If `eager`, all processes start in the constructor and become ready in the background; else each starts when it
    is first needed.
    """

    def __init__(self, count: int, limits: ProcessLimits = DEFAULT_LIMITS, *, eager: bool = True) -> None:
        self._slots = [_Slot(limits, eager=eager) for _ in range(count)]
        self._free_slots: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for slot in reversed(self._slots):
            self._free_slots.put(slot)

    def decode(self, data: bytes, limits: DecodeLimits, crop: CropRegion | None = None) -> DecodedImage:
        """infra.images.decode.decode in a child process; waits for a free one.

        Raises Rejected, with IMAGE_CRASHED when the picture ends its process or takes too long; raises Unavailable
        when no process starts.
        """
        return self._run(lambda process, deadline: process.decode(data, limits, crop, deadline))

    def shrink(self, data: bytes, limits: DecodeLimits, max_bytes: int) -> bytes:
        """infra.images.decode.shrink in a child process: an upright sRGB JPEG of at most `max_bytes` bytes.

        Raises Rejected and Unavailable as `decode` does.
        """
        return self._run(lambda process, deadline: process.shrink(data, limits, max_bytes, deadline))

    def _run(self, work: Callable[[DecoderChild, Deadline], T]) -> T:
        slot = self._free_slots.get()
        try:
            return slot.run(work)
        finally:
            self._free_slots.put(slot)

    def pids(self) -> list[int]:
        """Process ids of the current processes, for monitoring."""
        return [slot.pid for slot in self._slots if slot.pid]

    def close(self) -> None:
        """End the processes. Call it when no thread uses the pool any more."""
        for slot in self._slots:
            slot.close()


class _Slot:
    """One place in the pool: holds one process at a time, and replaces it when it has ended or is used up."""

    def __init__(self, limits: ProcessLimits, *, eager: bool) -> None:
        self._limits = limits
        self._child = DecoderChild(limits) if eager else None

    def run(self, work: Callable[[DecoderChild, Deadline], T]) -> T:
        deadline = Deadline(self._limits.seconds)
        for _ in range(MAX_ATTEMPTS):
            child = self._ready_process()
            try:
                return work(child, deadline)
            except TimeoutError:
                child.close()
                message = f"decoding the picture takes more than {self._limits.seconds:g} s: send another one"
                raise Rejected(Code.IMAGE_CRASHED, message) from None
            except (OSError, EOFError):
                child.close()
        raise Rejected(Code.IMAGE_CRASHED, "the picture ends the process that decodes it: send another one")

    @property
    def pid(self) -> int:
        """The id of the process; 0 before it is needed."""
        return self._child.pid if self._child else 0

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def _ready_process(self) -> DecoderChild:
        """The current process, or a new one in its place, ready to decode."""
        child = self._child
        if child is None or child.is_dead() or child.request_count >= self._limits.pictures:
            self.close()
            self._child = child = DecoderChild(self._limits)
        child.wait_until_ready()
        return child
