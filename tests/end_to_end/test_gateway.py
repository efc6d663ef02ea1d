"""The gateway beside a whole system."""

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
    expected = system.search(picture, "--best-effort")
    assert [hit["item_id"] for hit in found["hits"]] == [hit["item_id"] for hit in expected["hits"]]
    assert counted["counts"]["source"] == [{"value": "catalog", "count": 5}]
