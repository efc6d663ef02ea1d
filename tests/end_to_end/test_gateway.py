"""The gateway beside a whole system."""

import base64
from pathlib import Path

import httpx

from tests.end_to_end.gateway import gateway_beside
from tests.end_to_end.system import System


def test_a_picture_over_http_finds_what_the_command_line_finds(system: System, shop: Path, discs: Path) -> None:
    system.run("ingest", "catalog", shop, "--image-root", discs, code=1)  # one row makes no sense
    picture, names = discs / "red.png", ("red", "green", "blue", "yellow", "black")
    system.wait_for(lambda: system.indexed(names) == len(names), "the feed to be indexed")
    with gateway_beside(system) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        files = {"picture": picture.read_bytes()}
        found = client.post("/v1/search", files=files, data={"request": '{"strict": false}'}).json()
        counted = client.post("/v1/facets", json={"facets": ["source"]}).json()
        told = client.get("/metrics").text
    assert 'lookstream_http_results_total{status="ok"} 1.0' in told
    expected = system.search(picture, "--best-effort")
    assert [hit["item_id"] for hit in found["hits"]] == [hit["item_id"] for hit in expected["hits"]]
    assert counted["counts"]["source"] == [{"value": "catalog", "count": 5}]


def test_an_item_that_is_put_in_over_http_is_found_looked_at_and_taken_out(system: System, discs: Path) -> None:
    files, item = (
        {"pictures": (discs / "red.png").read_bytes()},
        {"item": '{"item_id": "a/b", "title": "A red disc"}'},
    )
    with gateway_beside(system) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
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


def _inline(path: Path) -> dict[str, str]:
    return {"kind": "inline", "data": base64.b64encode(path.read_bytes()).decode()}
