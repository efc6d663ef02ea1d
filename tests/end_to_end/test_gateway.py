"""The gateway with a whole system."""

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from infra.client.search_client import SearchClient
from infra.local.ports import LOOPBACK, find_free_port
from schemas.items import InlineImage
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from tests.end_to_end.gateway import second_gateway
from tests.end_to_end.shop import draw_scene, index_shop
from tests.end_to_end.system import System


def test_a_picture_over_http_finds_what_the_command_line_finds(system: System, shop: Path, discs: Path) -> None:
    system.run("ingest", "catalog", shop, "--image-root", discs, code=1)  # one row makes no sense
    picture, names = discs / "red.png", ("red", "green", "blue", "yellow", "black")
    system.wait_for(lambda: system.indexed(names) == len(names), "the feed to be indexed")
    with second_gateway(system) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        files = {"picture": picture.read_bytes()}
        found = client.post("/v1/search", files=files, data={"request": '{"strict": false}'}).json()
        counted = client.post("/v1/facets", json={"facets": ["source"]}).json()
        errors = client.get("/metrics").text
    assert 'lookstream_http_results_total{status="ok"} 1.0' in errors
    expected = system.search(picture, "--best-effort")
    assert [hit["item_id"] for hit in found["hits"]] == [hit["item_id"] for hit in expected["hits"]]
    assert counted["counts"]["source"] == [{"value": "catalog", "count": 5}]


def test_words_and_things_have_equal_answers_over_http_and_from_the_python_client(
    system: System, shop: Path, discs: Path, tmp_path: Path
) -> None:
    index_shop(system, shop, discs)
    scene = InlineImage(data=draw_scene(discs, tmp_path / "scene.png").read_bytes())
    picture = InlineImage(data=(discs / "red.png").read_bytes())
    requests = [
        SearchRequest(request_id="words", strict=False, text="red or blue disc"),
        SearchRequest(request_id="nonsense", strict=False, text="xyzzy plugh"),
        SearchRequest(request_id="change", strict=False, text="disc, not red, under 3", image=picture),
        SearchRequest(request_id="things", strict=False, image=scene, objects="all", intent="colour"),
    ]
    with second_gateway(system) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        bodies = [request.model_dump_json(by_alias=True, exclude_none=True) for request in requests]
        headers = {"Content-Type": "application/json"}
        responses = [client.post("/v1/search", content=body, headers=headers) for body in bodies]
        refused = client.post("/v1/search", json={"text": "x" * 1_000_000})
    with SearchClient(system.kafka) as python_client:
        answers = {result.request_id: result for result in python_client.search_all(requests)}
    for response in responses:
        result = SearchResult.model_validate_json(response.content)
        assert _comparable(result) == _comparable(answers[result.request_id]), result.request_id
    words, things = answers["words"], answers["things"]
    assert {hit.item_id for hit in words.hits} == {"red", "blue"}
    assert [word.kind for word in words.understood] == ["colour", "colour", "category"]
    assert (answers["nonsense"].status, len(answers["nonsense"].understood)) == ("no_match", 2)
    assert {hit.item_id for hit in answers["change"].hits} == {"green", "blue"}
    assert {region.hits[0].item_id for region in things.regions} == {"red", "blue"}
    assert (refused.status_code, "`text`" in refused.json()["detail"]) == (422, True)


def _comparable(result: SearchResult) -> dict[str, object]:
    """What two answers to one request have in common."""
    return result.model_dump(exclude={"times", "as_of"})


def test_an_item_that_is_put_in_over_http_is_found_looked_at_and_taken_out(system: System, discs: Path) -> None:
    files, item = (
        {"pictures": (discs / "red.png").read_bytes()},
        {"item": '{"item_id": "a/b", "title": "A red disc"}'},
    )
    with second_gateway(system) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        sent = client.post("/v1/items", files=files, data=item)
        outcome = client.get(sent.headers["Location"], params={"wait": 30})
        assert outcome.json()["schema"] == "item.indexed/1", outcome.text
        item_now = client.get("/v1/items/a/b").json()
        assert (item_now["title"], item_now["images"]) == ("A red disc", [0])
        assert client.get("/v1/pictures/0/a/b").content.startswith(b"\xff\xd8\xff")
        assert [one["item_id"] for one in client.get("/v1/items").json()] == ["a/b"]
        status = client.get("/v1/status").json()
        assert status["pictures"] == 1
        assert status["per_second"] > 0
        assert status["freshness_ms"] > 0
        found = client.post("/v1/search", json={"image": _inline(discs / "red.png"), "strict": False}).json()
        assert [hit["item_id"] for hit in found["hits"]] == ["a/b"]
        gone = client.delete("/v1/items/a/b")
        assert client.get(gone.headers["Location"], params={"wait": 30}).json()["schema"] == "item.removed/1"
        assert client.get("/v1/items/a/b").status_code == 404


@pytest.fixture
def referring(make_system: Callable[..., System], discs: Path, tmp_path: Path) -> Iterator[tuple[System, int]]:
    """A system whose workers read the discs from a folder, from a bucket, and from a host; with the host's port."""
    store, s3_port = tmp_path / "store", find_free_port(0)
    shutil.copytree(discs, store / "photos")
    bucket = subprocess.Popen([sys.executable, "-m", "localbucket", "--port", str(s3_port), str(store)])
    handler = partial(QuietHandler, directory=str(discs))
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings = {
        "LOOKSTREAM_IMAGES_ROOTS": json.dumps({"discs": str(discs)}),
        "LOOKSTREAM_IMAGES_ALLOW_HTTP": "true",
        "LOOKSTREAM_IMAGES_ALLOW_HOSTS": json.dumps([LOOPBACK]),
        "LOOKSTREAM_IMAGES_S3_BUCKETS": json.dumps(["photos"]),
        "LOOKSTREAM_IMAGES_S3_ENDPOINT": f"http://{LOOPBACK}:{s3_port}",
    }
    try:
        yield make_system(**settings).start(), server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        bucket.kill()
        bucket.wait()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the files of a folder."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_items_of_each_kind_of_reference_are_read_back_with_their_pictures(
    referring: tuple[System, int], discs: Path
) -> None:
    system, port = referring
    references = {
        "inline": [_inline(discs / f"{name}.png") for name in ("red", "blue")],
        "url": [{"kind": "url", "url": f"http://{LOOPBACK}:{port}/{name}.png"} for name in ("green", "blue")],
        "file": [{"kind": "file", "root": "discs", "path": f"{name}.png"} for name in ("yellow", "blue")],
        "s3": [{"kind": "s3", "bucket": "photos", "key": f"{name}.png"} for name in ("black", "blue")],
    }
    with second_gateway(system) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        for kind, images in references.items():
            for item_id, sent in ((f"{kind} 1", images[:1]), (f"{kind} 2", images)):
                response = client.post("/v1/items", json={"item_id": item_id, "images": sent})
                outcome = client.get(response.headers["Location"], params={"wait": 30}).json()
                assert (outcome["schema"], outcome["images"] + outcome["unchanged"]) == (
                    "item.indexed/1",
                    len(sent),
                )
                item = client.get(f"/v1/items/{item_id}")
                assert item.status_code == 200, item.text
                assert item.json()["images"] == list(range(len(sent)))
                for number in range(len(sent)):
                    assert client.get(f"/v1/pictures/{number}/{item_id}").content.startswith(b"\xff\xd8\xff")
        listed = {item["item_id"]: item["images"] for item in client.get("/v1/items").json()}
    assert listed == {f"{kind} {n}": list(range(n)) for kind in references for n in (1, 2)}


def test_a_feed_that_is_waited_for_can_be_read_back_and_found(system: System, shop: Path, discs: Path) -> None:
    report = discs.parent / "report.jsonl"
    errors = system.run(
        "ingest", "catalog", shop, "--image-root", discs, "--wait", "--report", report, code=1
    ).stderr
    assert re.search(r"indexed, new pictures +5", errors), errors
    assert re.search(r"bad row +1 +column `image_link`: there is no picture", errors), errors
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(entry["outcome"] for entry in entries) == ["bad", *["indexed"] * 5]
    assert system.search(discs / "red.png")["hits"][0]["item_id"] == "red"
    again = system.run("ingest", "catalog", shop, "--image-root", discs, "--wait", code=1).stderr
    assert re.search(r"indexed, pictures unchanged +5", again), again
    assert re.search(r"removed +1", system.run("delete", "red", "--wait").stderr)


def _inline(path: Path) -> dict[str, str]:
    return {"kind": "inline", "data": base64.b64encode(path.read_bytes()).decode()}
