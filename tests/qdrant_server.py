"""Qdrant for tests: the server of --qdrant, with collections of a test's own, or else qdrant-client's engine."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from qdrant_client import QdrantClient, models

from infra.config.qdrant import QdrantSettings
from infra.qdrant.server.nodes import Cluster, Node, reach_cluster

URL, RUN = "TEST_QDRANT_URL", "TEST_QDRANT_RUN"
"""Variables that the processes of a run inherit: the server, and what its collections alone begin with."""


def add_option(parser: pytest.Parser) -> None:
    """Which Qdrant server the tests run on as well."""
    text = (
        "URL of a Qdrant server: the contracts run on it as well, and whole systems instead of the embedded index"
    )
    parser.addoption("--qdrant", default=None, metavar="http://HOST:PORT", help=text)


def share_qdrant(config: pytest.Config) -> None:
    """Let the tests of the run use the server of --qdrant, and remove their collections at its end."""
    url = config.getoption("--qdrant")
    if not url or hasattr(config, "workerinput") or config.option.collectonly:
        return
    os.environ[URL], os.environ[RUN] = url.rstrip("/"), f"test-{uuid.uuid4().hex[:8]}"
    config.add_cleanup(remove_collections)


def shared_url() -> str | None:
    """The server of --qdrant."""
    return os.environ.get(URL)


def runs_on_server(item: pytest.Item) -> bool:
    """Whether a test runs on the server of --qdrant."""
    call = getattr(item, "callspec", None)
    named = call is not None and call.params.get("index") == "server"
    return shared_url() is not None and (named or "qdrant_server" in getattr(item, "fixturenames", ()))


def qdrant_environment(folder: Path) -> dict[str, str]:
    """Settings by which `lookstream` on this data folder has its own collections on the server, if there is one."""
    url = shared_url()
    if url is None:
        return {}
    own = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return {"LOOKSTREAM_QDRANT_URL": url, "LOOKSTREAM_QDRANT_COLLECTION": f"{os.environ[RUN]}-{own}"}


def points_in(environment: Mapping[str, str], ids: list[str]) -> int:
    """How many of these points the serving index of such a system holds."""
    found = _call("POST", f"/collections/{environment['LOOKSTREAM_QDRANT_COLLECTION']}/points", {"ids": ids})
    return len(found)


def live_points_in(environment: Mapping[str, str]) -> int:
    """How many pictures the serving index of such a system holds."""
    live = {"must": [{"key": "state", "match": {"value": "live"}}]}
    path = f"/collections/{environment['LOOKSTREAM_QDRANT_COLLECTION']}/points/count"
    return int(_call("POST", path, {"filter": live, "exact": True})["count"])


def remove_collections() -> None:
    """Remove all collections of this run."""
    for one in _call("GET", "/collections")["collections"]:
        if one["name"].startswith(os.environ[RUN]):
            _call("DELETE", f"/collections/{one['name']}")


class MemoryClient(QdrantClient):
    """qdrant-client's own engine. It ranks texts by the statistics of all points, not of a tenant's alone."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def query_points_groups(self, *arguments: Any, **options: Any) -> models.GroupsResult:
        if (params := options.get("search_params")) is not None:
            options["search_params"] = params.model_copy(update={"idf": None})
        return super().query_points_groups(*arguments, **options)


def in_memory(client: QdrantClient | None = None) -> Cluster:
    """A cluster of one node: qdrant-client's own engine in this process."""
    return Cluster([Node(client or MemoryClient(), "memory:")])


def own_settings() -> QdrantSettings:
    """Settings with a collection name that no other test has, on the server if there is one."""
    return QdrantSettings(url=shared_url(), collection=f"{os.environ.get(RUN, 'test')}-{uuid.uuid4().hex[:12]}")


@contextmanager
def own_cluster(settings: QdrantSettings) -> Iterator[Cluster]:
    """The server of the settings, or the engine in memory."""
    with closing(reach_cluster(settings) if settings.url else in_memory()) as cluster:
        yield cluster


def _call(method: str, path: str, body: object = None) -> Any:
    """The result of a request to the server's HTTP interface."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{shared_url()}{path}", data, headers, method=method), timeout=60) as answer:
        return json.load(answer)["result"]
