"""Request bodies, which are JSON objects, or forms with one as text beside files."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import Headers, UploadFile

from producers.gateway.problem_details import Problem

FORM, JSON = "multipart/form-data", "application/json"
PICTURES = "image/jpeg, image/png, image/webp"
FILES = ("picture", "pictures")
"""What the files of a form are called."""
MARKS = (b",", b"[", b"{", b":")
MOST_MARKS, DEEPEST = 20_000, 32
"""Above what any event of ours has; what is wider or deeper keeps a processor busy, and is not parsed."""

SLICE_BYTES = 64 << 10

SMALL_BYTES, MEDIUM_BYTES = 64 << 10, 1 << 20
"""A small body is not counted: the server holds as much of each request in any case. Bodies above MEDIUM_BYTES have
memory and a thread of their own, so that those below never wait for them."""

Fields = dict[str, Any]
T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)


class Parser:
    """Works on bodies in one thread for each of three sizes, so that small ones never wait for large ones.

    Python's parsers hold the interpreter's lock: more threads would be no quicker, and delay the event loop.
    """

    def __init__(self) -> None:
        self._lanes = {size: ThreadPoolExecutor(1, "parser") for size in (SMALL_BYTES, MEDIUM_BYTES, math.inf)}

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """What comes of some work on a body of so many bytes."""
        lane = next(lane for most, lane in self._lanes.items() if size <= most)
        return await asyncio.get_running_loop().run_in_executor(lane, work)

    async def fields(self, body: bytes) -> Fields:
        """The JSON object in a body; raises Problem."""
        return await self.run(len(body), partial(parse_object, body))

    def close(self) -> None:
        """End the threads."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)


async def json_bytes(request: Request) -> bytes:
    """A body that says that it is JSON; raises Problem."""
    if content_type(request.headers) != JSON:
        raise Problem(415, f"send {JSON}, or pictures as {FORM}")
    return await request.body()


async def form_parts(request: Request, name: str, most: int) -> tuple[bytes, Sequence[bytes]] | None:
    """The text of the part `name` of a form, and its files; none of a body that is no form."""
    if content_type(request.headers) != FORM:
        return None
    async with request.form(max_files=most, max_fields=1) as form:
        texts = form.getlist(name) or ["{}"]
        files = [
            await file.read()
            for called, file in form.multi_items()
            if called in FILES and isinstance(file, UploadFile)
        ]
    text = texts[0]
    if not files or not isinstance(text, str):
        raise Problem(422, f"`picture` is missing: send it as a file, and `{name}` as JSON text")
    return text.encode(), files


def content_type(headers: Headers) -> str:
    """The media type of a body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_object(body: bytes) -> Fields:
    """The JSON object in a body; raises Problem, also of a field that stands twice: a proxy may read the other."""
    if _has_many_marks(body):
        raise Problem(422, f"the JSON has more than {MOST_MARKS} values: no event has so many")
    try:
        found = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except ValueError as error:
        raise Problem(400, f"the body is no JSON ({str(error)[:200]}): send one object") from None
    except RecursionError:
        raise Problem(400, "the JSON of the body is nested too deep: send one object") from None
    if not isinstance(found, dict):
        raise Problem(422, f"the body is a JSON {type(found).__name__}: send one object")
    if not _is_shallow(found, DEEPEST):
        raise Problem(400, f"the JSON of the body is nested more than {DEEPEST} deep: send one object")
    return found


def model_of(kind: type[Body], fields: Mapping[str, Any]) -> Body:
    """These fields as a model; raises ValidationError."""
    return kind.model_validate_json(json.dumps(fields))


def size_of(fields: Fields) -> int:
    """How many bytes of text are in the pictures of a body, which are most of it where it is large."""
    lists = [value for name in ("images", "more_images") if isinstance(value := fields.get(name), list)]
    images = [fields.get("image"), *chain.from_iterable(lists)]
    texts = [image.get("data") for image in images if isinstance(image, dict)]
    return sum(len(text) for text in texts if isinstance(text, str))


def digest_of(fields: Fields) -> bytes:
    """What tells these fields from others."""
    return sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def _has_many_marks(body: bytes) -> bool:
    """Whether there are more than MOST_MARKS: seen in the first slices of a body that is full of them.

    While bytes are counted no other thread runs, the event loop's neither.
    """
    found = 0
    for start in range(0, len(body), SLICE_BYTES):
        found += sum(body.count(mark, start, start + SLICE_BYTES) for mark in MARKS)
        if found > MOST_MARKS:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> Fields:
    found: Fields = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"`{name[:100]}` stands twice in one object")
        found[name] = value
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _is_shallow(value: object, levels: int) -> bool:
    """Whether a value is nested at most so deep."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)
