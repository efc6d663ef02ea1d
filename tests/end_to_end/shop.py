"""A feed of five discs in a running system."""

from pathlib import Path
from typing import Any

from tests.disc_scenes import draw_discs
from tests.end_to_end.system import System

SCENE = (("red", 260, (40, 120)), ("blue", 220, (380, 60)))
"""Discs of a scene: the item, its width and its place in pixels."""
ITEMS = ("red", "green", "blue", "yellow", "black")


def hits(result: dict[str, Any]) -> list[str]:
    """The items that a search has found."""
    return [hit["item_id"] for hit in result["hits"]]


def index_shop(system: System, shop: Path, discs: Path) -> str:
    """Ingest the feed and wait until it is searchable; the command's output."""
    done = system.run("ingest", "catalog", shop, "--image-root", discs, code=1)
    system.wait_for(lambda: system.indexed(ITEMS) == len(ITEMS), "the feed to be indexed")
    return done.stderr


def draw_scene(discs: Path, path: Path) -> Path:
    """Draw a picture with the discs of SCENE on white."""
    draw_discs(discs, (640, 480), SCENE).save(path)
    return path
