"""A change of the encoder of a running system: every search is answered, each by one encoder only."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.shop import ITEMS, hits, index_shop
from tests.end_to_end.system import System


def encoder_of(system: System, picture: Path) -> str:
    return str(system.search(picture)["encoder"])


@pytest.mark.long
def test_an_encoder_is_changed_gone_back_to_and_dropped_while_the_system_serves(
    system: System, shop: Path, discs: Path
) -> None:
    index_shop(system, shop, discs)
    refused = system.run("reindex", code=2)
    assert "--encoder" in refused.stderr
    refused = system.run("reindex", "rollback", code=2)
    assert "no index except" in refused.stderr
    refused = system.run("reindex", "--encoder", "no/such-model", code=1)
    assert "no/such-model" in refused.stderr

    done = system.run("reindex", "--encoder", "fake2")
    assert "index 2 serves, with fake2" in done.stdout
    assert "0 are missing" in done.stderr
    system.wait_for(lambda: encoder_of(system, discs / "red.png") == "fake:2", "the new encoder to answer")
    assert hits(system.search(discs / "red.png"))[0] == "red"

    system.run("delete", "red")
    system.wait_for(lambda: "red" not in hits(system.search(discs / "red.png")), "the item to be gone")
    status = json.loads(system.run("reindex", "status", "--json").stdout)
    serves = {one["index"]: (one["encoder"], one["serves"]) for one in status}
    assert serves == {1: ("fake", False), 2: ("fake2", True)}

    back = system.run("reindex", "--encoder", "fake")
    assert "index 1 serves, with fake" in back.stdout
    system.wait_for(lambda: encoder_of(system, discs / "blue.png") == "fake:1", "the old encoder to answer again")
    found = hits(system.search(discs / "blue.png"))
    assert found[0] == "blue"
    assert "red" not in found

    assert "index 2 serves" in system.run("reindex", "rollback").stdout
    system.wait_for(lambda: encoder_of(system, discs / "red.png") == "fake:2", "the new encoder to answer")
    assert "index 1 of fake is gone" in system.run("reindex", "drop").stdout
    system.wait_for(lambda: not (system.folder / "index").exists(), "the old index to be gone")
    assert system.indexed(ITEMS) == len(ITEMS)

    assert system.stop() == 0
    system.start()
    assert encoder_of(system, discs / "red.png") == "fake:2"
    system.run("health")
