"""Twenty kinds of bad input, each with the code that it must be refused with."""

import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from PIL import Image

from infra.kafka import Record
from schemas.envelope import to_bytes
from schemas.failures import Code
from schemas.items import MAX_REVISION, FileImage, ImageRef, InlineImage, ItemUpserted, UrlImage
from schemas.outcomes import ItemRemoved
from schemas.topics import CATALOG_ITEMS
from tests.chaos.feed import ANY_PARTITION, draw

ROOT_NAME = "shop"
Bad = tuple[Record, str]
"""A record that must be refused, and the code that it must get."""
Value = bytes | None


def write_bad(count: int) -> list[Bad]:
    """`count` bad records of as many kinds as there are, in turn."""
    kinds = _kinds()
    return [_bad(n, *kinds[n % len(kinds)]) for n in range(count)]


def write_unreadable(count: int) -> list[Bad]:
    """`count` records of one kind, for when it does not matter which."""
    return [_bad(n, *_kinds()[0]) for n in range(count)]


def image_roots(folder: Path) -> str:
    """The setting LOOKSTREAM_IMAGES_ROOTS for these records; makes the folder, with one picture."""
    root = folder / ROOT_NAME
    root.mkdir(parents=True)
    (root / "there.png").write_bytes(draw(0))
    return json.dumps({ROOT_NAME: str(root)})


def _bad(number: int, code: Code, write: Callable[[str], Value]) -> Bad:
    item = f"bad-{number}"
    value = write(item)
    # A null value is bad by its key alone: it would delete the item of any other.
    key = f"default:{item}" if value is not None else f"no tenant {number}"
    return Record(CATALOG_ITEMS, ANY_PARTITION, 0, key.encode(), value), code


def _kinds() -> Sequence[tuple[Code, Callable[[str], Value]]]:
    zeros = "0" * 64
    loopback, metadata = "https://127.0.0.1/a.png", "https://169.254.169.254/latest"
    return [
        (Code.EVENT_UNREADABLE, lambda _: b"neither JSON nor anything"),
        (Code.EVENT_UNREADABLE, lambda _: b"\xff\xfe not UTF-8"),
        (Code.EVENT_UNREADABLE, lambda _: b'["a list"]'),
        (Code.EVENT_UNREADABLE, lambda item: _changed(item, "schema", None)),
        (Code.EVENT_UNKNOWN, lambda item: _changed(item, "schema", "item.upserted/99")),
        (Code.EVENT_UNKNOWN, _outcome),
        (Code.EVENT_INVALID, lambda item: _changed(item, "revision", None)),
        (Code.EVENT_INVALID, lambda item: _changed(item, "revision", MAX_REVISION + 1)),
        (Code.EVENT_INVALID, lambda item: _changed(item, "images", [])),
        (Code.EVENT_INVALID, lambda item: _changed(item, "price", "1.00")),
        (Code.EVENT_INVALID, lambda item: _changed(item, "tenant", "../other")),
        (Code.KEY_INVALID, lambda _: None),
        (Code.IMAGE_FORMAT, lambda item: _shows(item, InlineImage(data=b"GIF? no: just text"))),
        (Code.IMAGE_UNREADABLE, lambda item: _shows(item, InlineImage(data=draw(1)[: len(draw(1)) // 2]))),
        (Code.IMAGE_TOO_SMALL, lambda item: _shows(item, InlineImage(data=_blank(1)))),
        (Code.IMAGE_TOO_LARGE, lambda item: _shows(item, InlineImage(data=_blank(11_000)))),
        (Code.IMAGE_MISSING, lambda item: _shows(item, FileImage(root=ROOT_NAME, path="nothing.png"))),
        (Code.IMAGE_DIFFERS, lambda item: _shows(item, FileImage(root=ROOT_NAME, path="there.png", sha256=zeros))),
        (Code.SOURCE_REFUSED, lambda item: _shows(item, UrlImage(url=loopback), UrlImage(url=metadata))),
        (Code.SOURCE_REFUSED, lambda item: _shows(item, FileImage(root=ROOT_NAME, path="../../etc/passwd"))),
    ]  # fmt: skip


def _shows(item: str, *images: ImageRef) -> bytes:
    return to_bytes(ItemUpserted(item_id=item, revision=1, images=images, category="thing"))


def _changed(item: str, field: str, value: object) -> bytes:
    """An upsert with a bad value of one field; None leaves the field out."""
    fields = json.loads(_shows(item, InlineImage(data=draw(2))))
    changed = {name: old for name, old in fields.items() if name != field}
    return json.dumps(changed | ({} if value is None else {field: value})).encode()


def _outcome(item: str) -> bytes:
    return to_bytes(ItemRemoved(event_id="any", tenant="default", item_id=item, source="catalog", revision=1))


@cache
def _blank(side: int) -> bytes:
    """A black square, as PNG: large ones are a few kilobytes that would need many megabytes."""
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG")
    return out.getvalue()
