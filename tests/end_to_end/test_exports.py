"""Exports as their makers write them: each is sent with the one command of docs/feeds.md, and found by a search."""

import io
import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.end_to_end.shop import hits
from tests.end_to_end.system import System

LOOPBACK = "127.0.0.1"
SAMPLES = Path(__file__).parents[1] / "producers/samples"
HOSTS = re.compile(r"https://(?:cdn\.shop|shop|woo)\.example/")


@dataclass(frozen=True)
class Export:
    """An export of a shop or a platform, the command that sends it, and the items that searches find."""

    words: tuple[str, ...]
    """Of `lookstream ingest`; the folder of the samples is SAMPLES, that of the pictures PICTURES."""
    found: Mapping[str, tuple[str, str, float | None]]
    """Id, title and price of items, by the names of their main pictures."""
    absent: tuple[str, ...]
    """Items that must not be found: drafts, archived products, deleted rows, posts without a picture."""
    exit_code: int = 0
    """1 if a row is bad."""


POSTS = "https://mastodon.example/users/ann/statuses"
EXPORTS = {
    "Shopify": Export(
        ("catalog", "SAMPLES/shopify.csv", "--currency", "EUR"),
        {
            "red-1.jpg": ("red-disc", "Red disc & stand", 9.5),
            "plain.jpg": ("plain-disc", "Plain disc", 5.0),
        },
        ("old-disc", "bare-disc"),
        1,
    ),
    "Shopify-2025": Export(
        ("catalog", "SAMPLES/shopify-2025.csv", "--currency", "EUR"),
        {
            "2025/red-1.jpg": ("red-disc", "Red disc", 9.5),
            "2025/plain.jpg": ("plain-disc", "Plain disc", 5.0),
        },
        ("old-disc", "hidden-disc"),
    ),
    "WooCommerce": Export(
        ("catalog", "SAMPLES/woocommerce.csv", "--currency", "EUR"),
        {
            "uploads/hoodie-with-logo-2.jpg": ("45", 'Hoodie with "Logo"', 40.0),
            "uploads/pennant-1.jpg": ("47", "WordPress Pennant", 11.05),
            "uploads/vneck-tee-2.jpg": ("44", "V-Neck T-Shirt", 15.0),
        },
        ("46", "61", "62"),
    ),
    "Google": Export(
        ("catalog", "SAMPLES/google.tsv"),
        {
            "red.jpg": ("TDW20G", 'Red disc 12" wide', 9.5),
            "blue.jpg": ("TDW21G", "Blue disc", 12.5),
        },
        (),
    ),
    "Google-XML": Export(
        ("catalog", "SAMPLES/merchant-rss.xml"),
        {"sku-1.jpg": ("sku-1", "Red disc & stand", 9.5), "sku-2.jpg": ("sku-2", "Blue disc", None)},
        (),
    ),
    "Debezium": Export(
        ("debezium", "SAMPLES/debezium.toml", "SAMPLES/debezium.jsonl", "--image-root", "PICTURES"),
        {"red.png": ("1", "Red mug, large", 9.99), "yellow.png": ("4", "Yellow cup", 4.5)},
        ("2", "3"),
    ),
    "Debezium-flat": Export(
        ("debezium", "SAMPLES/debezium.toml", "SAMPLES/debezium-flat.txt", "--image-root", "PICTURES"),
        {"black.png": ("902", "Black cup", 4.9)},
        ("901",),
    ),
    "Mastodon": Export(
        ("social", "SAMPLES/mastodon-outbox.json", "--image-root", "PICTURES"),
        {"media_attachments/files/cat.png": (f"{POSTS}/113000000000000001", "My cat on the red sofa", None)},
        (f"{POSTS}/113000000000000003",),
    ),
}


def picture_of(name: str) -> bytes:
    """A picture that only this name has: nine squares of random colours."""
    colours = random.Random(name).randbytes(27)
    out = io.BytesIO()
    Image.frombytes("RGB", (3, 3), colours).resize((96, 96), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


class PictureHost(BaseHTTPRequestHandler):
    """Serves a picture for every path."""

    def do_GET(self) -> None:
        """Send the picture of the path."""
        picture = picture_of(urlsplit(self.path).path.lstrip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(picture)))
        self.end_headers()
        self.wfile.write(picture)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    """The address of a host of pictures."""
    server = ThreadingHTTPServer((LOOPBACK, 0), PictureHost)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def samples(tmp_path: Path, host: str) -> Path:
    """The samples, whose shops have the address of the host."""
    folder = tmp_path / "samples"
    folder.mkdir()
    for path in SAMPLES.iterdir():
        (folder / path.name).write_text(HOSTS.sub(host, path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder of the pictures that are named by their paths."""
    names = (
        *(f"{colour}.png" for colour in ("red", "green", "blue", "yellow", "white", "black")),
        *(f"media_attachments/files/{name}.png" for name in ("cat", "sea")),
    )
    for name in names:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_of(name))
    return tmp_path / "pictures"


def test_each_export_is_sent_with_one_command_and_found_by_a_search(
    make_system: Callable[..., System], samples: Path, pictures: Path, tmp_path: Path
) -> None:
    system = make_system(
        LOOKSTREAM_IMAGES_ALLOW_HTTP="true", LOOKSTREAM_IMAGES_ALLOW_HOSTS=json.dumps([LOOPBACK])
    ).start()
    for name, export in EXPORTS.items():
        words = [word.replace("SAMPLES", str(samples)).replace("PICTURES", str(pictures)) for word in export.words]
        tenant = "shop" if "debezium" in words else name.lower()  # the mapping of a table names its tenant
        options = () if "debezium" in words else ("--tenant", tenant)
        system.run("ingest", *words, *options, "--wait", code=export.exit_code)
        for picture, (item, title, price) in export.found.items():
            query = tmp_path / "query.png"
            query.write_bytes(picture_of(picture))
            result = system.search(query, "--tenant", tenant, "--best-effort")
            [best, *_], items = result["hits"], {*hits(result)}
            assert (best["item_id"], {*export.absent} & items) == (item, set()), (name, picture)
            assert (best["title"], best.get("price")) == (title, price), (name, picture)
