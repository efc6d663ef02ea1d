"""`lookstream evaluate --through kafka`: a running system is evaluated from outside, and left unchanged."""

import csv
import json
from pathlib import Path

from infra.local_state import read_local_state
from infra.qdrant.embedded.client import EmbeddedIndex
from tests.end_to_end.system import System
from tests.qdrant_server import live_points_in


def live_points(system: System) -> int:
    """The number of pictures in the index, of all tenants."""
    if "LOOKSTREAM_QDRANT_URL" in system.environment:
        return live_points_in(system.environment)
    running = read_local_state(system.folder)
    assert running is not None
    assert running.index is not None
    index = EmbeddedIndex(running.index)
    try:
        return index.count()
    finally:
        index.close()


def write_labels(discs: Path) -> Path:
    """Each disc twice, once as query and once in the catalogue."""
    path = discs / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "category", "side"))
        for number, picture in enumerate(sorted(discs.glob("*.png"))):
            (discs / f"copy-{picture.name}").write_bytes(picture.read_bytes())
            category = ("discs", "more discs")[number % 2]
            writer.writerow((picture.name, picture.stem, category, "catalogue"))
            writer.writerow((f"copy-{picture.name}", picture.stem, category, "queries"))
    return path


def test_a_running_system_is_evaluated_and_left_as_it_was(system: System, discs: Path) -> None:
    labels = write_labels(discs)
    words = ("--catalog", f"{labels}:side=catalogue", "--queries", f"{labels}:side=queries", "--through", "kafka")
    figures = json.loads(system.run("evaluate", *words, "--robustness", "2", "--json").stdout)
    assert figures["through"] == "kafka"
    assert figures["encoder"] == "fake:1"
    assert figures["counts"]["queries"] == figures["counts"]["catalogue"] == 5
    assert figures["weightings"]["similar"]["metrics"]["recall@1"]["value"] == 1
    assert figures["robustness"]["drops"]["EXIF turn"]["recall@1"]["value"] == 0
    assert figures["engine_recall"] is None
    assert figures["coverage"]["queries"] == 5
    for one in figures["filtered"].values():
        assert one["hits"] == one["satisfying"] > 0
    system.wait_for(lambda: live_points(system) == 0, "what was put in to be removed")

    direct = json.loads(system.run("evaluate", *words[:-1], "direct", "--robustness", "0", "--json").stdout)
    assert direct["queries"] == figures["queries"]
