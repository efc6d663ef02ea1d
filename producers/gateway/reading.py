"""Request bodies, which are JSON objects, or forms with one as text beside files."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from producers.gateway.problems import Problem

FORM, JSON = "multipart/form-data", "application/json"
FILES = ("picture", "pictures")
"""What the files of a form are called."""


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object of a body; raises Problem."""
    if _kind(request) != JSON:
        raise Problem(415, f"send {JSON}, or pictures as {FORM}")
    return _object(await request.body())


async def form_fields(request: Request, name: str, most: int) -> tuple[dict[str, Any], Sequence[bytes]] | None:
    """The JSON object of the part `name` of a form, and its files; none of a body that is no form."""
    if _kind(request) != FORM:
        return None
    async with request.form(max_files=most, max_fields=1) as form:
        text = form.get(name, "{}")
        files = [
            await file.read()
            for called, file in form.multi_items()
            if called in FILES and isinstance(file, UploadFile)
        ]
    if not files or not isinstance(text, str):
        raise Problem(422, f"`picture` is missing: send it as a file, and `{name}` as JSON text")
    return _object(text.encode()), files


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Problem(400, f"the body is no JSON ({error}): send one object") from None
    except RecursionError:
        raise Problem(400, "the JSON of the body is nested too deep: send one object") from None
    if not isinstance(found, dict):
        raise Problem(422, f"the body is a JSON {type(found).__name__}: send one object")
    return found
