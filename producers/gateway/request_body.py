"""Request bodies: parse JSON objects, and multipart forms with a JSON part and picture files."""

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
FILE_PARTS = ("picture", "pictures")
"""Names of the file parts of a form."""
MARKS = (b",", b"[", b"{", b":")
MAX_MARKS, MAX_DEPTH = 20_000, 32
"""Bounds above any valid event. Larger or deeper JSON is refused before it takes much processor time."""

SLICE_BYTES = 64 << 10

SMALL_BYTES, MEDIUM_BYTES = 64 << 10, 1 << 20
"""Small bodies reserve no memory, because the server buffers that much of any request. Bodies above MEDIUM_BYTES
have a memory pool and a thread of their own, so that smaller ones never wait for them."""

Fields = dict[str, Any]
T = TypeVar("T")
RequestModel = TypeVar("RequestModel", bound=BaseModel)


class Parser:
    """Parses bodies in one thread for each of three size classes, so that small bodies never wait for large ones.

    Python's parsers hold the GIL: more threads would be no faster, and would delay the event loop.
    """

    def __init__(self) -> None:
        self._lanes = {size: ThreadPoolExecutor(1, "parser") for size in (SMALL_BYTES, MEDIUM_BYTES, math.inf)}

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Run `work` in the thread for bodies of `size` bytes, and return its result."""
        lane = next(lane for max_bytes, lane in self._lanes.items() if size <= max_bytes)
        return await asyncio.get_running_loop().run_in_executor(lane, work)

    async def fields(self, body: bytes) -> Fields:
        """Parse a body as a JSON object; raises Problem."""
        return await self.run(len(body), partial(parse_object, body))

    def close(self) -> None:
        """Stop the threads without waiting for them."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)


async def json_bytes(request: Request) -> bytes:
    """The body of a request with the JSON content type; raises Problem (415) for any other type."""
    if content_type(request.headers) != JSON:
        raise Problem(415, f"send {JSON}, or pictures as {FORM}")
    return await request.body()


async def form_parts(request: Request, name: str, max_files: int) -> tuple[bytes, Sequence[bytes]] | None:
    """The JSON part `name` of a form, and its files; None if the body is no form. Raises Problem (422)."""
    if content_type(request.headers) != FORM:
        return None
    async with request.form(max_files=max_files, max_fields=1) as form:
        texts = form.getlist(name) or ["{}"]
        files = [
            await file.read()
            for part, file in form.multi_items()
            if part in FILE_PARTS and isinstance(file, UploadFile)
        ]
    text = texts[0]
    if not files or not isinstance(text, str):
        raise Problem(422, f"`picture` is missing: send it as a file, and `{name}` as JSON text")
    return text.encode(), files


def content_type(headers: Headers) -> str:
    """The media type of a body in lower case, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_object(body: bytes) -> Fields:
    """Parse a JSON object, without its fields that are null: they are as good as absent.

    Raises Problem, also for a repeated field, because a proxy may read the other value.
    """
    if _has_many_marks(body):
        raise Problem(422, f"the JSON has more than {MAX_MARKS} values, more than any event: send less")
    try:
        found = json.loads(body.decode(), object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Problem(400, f"the body is not JSON ({str(error)[:200]}): send one object") from None
    except RecursionError:
        raise Problem(400, "the JSON of the body is nested too deeply: send one object") from None
    if not isinstance(found, dict):
        raise Problem(422, f"the body is a JSON {type(found).__name__}: send one object")
    if not _is_shallow(found, MAX_DEPTH):
        raise Problem(400, f"the JSON of the body has more than {MAX_DEPTH} levels: send one object")
    return {name: value for name, value in found.items() if value is not None}


def model_of(kind: type[RequestModel], fields: Mapping[str, Any]) -> RequestModel:
    """Validate the fields as a model; raises ValidationError."""
    return kind.model_validate_json(json.dumps(fields))


def size_of(fields: Fields) -> int:
    """Characters of the inline pictures in a body: most of its size if it is large."""
    lists = [value for name in ("images", "more_images") if isinstance(value := fields.get(name), list)]
    images = [fields.get("image"), *chain.from_iterable(lists)]
    texts = [image.get("data") for image in images if isinstance(image, dict)]
    return sum(len(text) for text in texts if isinstance(text, str))


def digest_of(fields: Fields) -> bytes:
    """SHA-256 of the fields, independent of their order."""
    return sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def _has_many_marks(body: bytes) -> bool:
    """Whether a body has more than MAX_MARKS of the characters in MARKS.

    It counts in slices and stops early: `bytes.count` holds the GIL, so meanwhile no other thread runs, not even
    the event loop.
    """
    count = 0
    for start in range(0, len(body), SLICE_BYTES):
        count += sum(body.count(mark, start, start + SLICE_BYTES) for mark in MARKS)
        if count > MAX_MARKS:
            return True
    return False


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> Fields:
    fields: Fields = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"`{name[:100]}` occurs twice in one object")
        fields[name] = value
    return fields


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _is_shallow(value: object, levels: int) -> bool:
    """Whether a value is nested at most `levels` deep."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)
