"""The TypeScript client searches a running gateway in Node, as docs/storefront.md shows it."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from infra.local_state import read_local_state
from tests.end_to_end.shop import index_shop
from tests.end_to_end.system import System
from tests.producers.gateway.typescript import COMPILER, SECONDS, compile_client, require

DOCS = (Path(__file__).parents[2] / "docs/storefront.md").read_text()
ADDRESS = "http://127.0.0.1:8400"


def test_node_runs_the_pages_search_against_a_running_gateway(
    make_system: Callable[..., System], tmp_path: Path, shop: Path, discs: Path
) -> None:
    require(COMPILER)
    system = make_system()
    system.gateway = True
    system.start()
    index_shop(system, shop, discs)
    running = read_local_state(system.folder)
    assert running is not None
    assert running.page is not None
    [example] = re.findall(r"```ts\n(.*?)```", DOCS, re.DOTALL)
    done = compile_client(tmp_path / "client", example=example.replace(ADDRESS, running.page))
    assert done.returncode == 0, done.stdout
    command = ["node", str(tmp_path / "client/example.js")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.stdout.startswith("ok [ 'red'"), ran.stdout + ran.stderr
