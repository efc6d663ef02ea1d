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
    found: Mapping[str, str]
    """Items by the names of their main pictures."""
    absent: tuple[str, ...]
    """Items that must not be found: drafts, archived products, deleted rows, posts without a picture."""
    exit_code: int = 0
    """1 if a row is bad."""


EXPORTS = {
    "Shopify": Export(
        ("catalog", "SAMPLES/shopify.csv", "--currency", "EUR"),
        {"red-1.jpg": "red-disc", "plain.jpg": "plain-disc"},
        ("old-disc", "bare-disc"),
        1,
    ),
    "WooCommerce": Export(
        ("catalog", "SAMPLES/woocommerce.csv"),
        {"uploads/hoodie-with-logo-2.jpg": "45", "uploads/pennant-1.jpg": "47"},
        ("46",),
    ),
    "Google": Export(("catalog", "SAMPLES/google.tsv"), {"red.jpg": "TDW20G", "blue.jpg": "TDW21G"}, ()),
    "Debezium": Export(
        ("debezium", "SAMPLES/debezium.toml", "SAMPLES/debezium.jsonl", "--image-root", "PICTURES"),
        {"red.png": "1", "yellow.png": "4"},
        ("2", "3"),
    ),
    "Mastodon": Export(
        ("social", "SAMPLES/mastodon-outbox.json", "--image-root", "PICTURES"),
        {"media_attachments/files/cat.png": "https://mastodon.example/users/ann/statuses/113000000000000001"},
        ("https://mastodon.example/users/ann/statuses/113000000000000003",),
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
        (folder / path.name).write_text(HOSTS.sub(host, path.read_text()))
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
        for picture, item in export.found.items():
            query = tmp_path / "query.png"
            query.write_bytes(picture_of(picture))
            found = hits(system.search(query, "--tenant", tenant, "--best-effort"))
            assert (found[0], {*export.absent} & {*found}) == (item, set()), (name, picture)
