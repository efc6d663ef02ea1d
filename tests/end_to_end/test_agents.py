"""Agents solve twenty tasks with the tools of `lookstream mcp`, in three calls at most, and reach one tenant."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import mcp_types as types
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from PIL import Image

from infra.client.async_search_client import AsyncSearchClient
from infra.config.kafka import KafkaSettings
from producers.agents.server import make_server
from producers.agents.tools import CatalogueTools
from producers.demo.catalogue import STREET, STREET_KINDS, Catalogue, draw_catalogue
from producers.watches.client import WatchClient
from tests.chaos.brokers import second_kafka
from tests.end_to_end.system import LOOKSTREAM, ROOT, System, make_environment

PRODUCTS, SEED = 72, 7
TENANT, OTHER = "demo", "other"
MOST_CALLS = 3
Agent = Callable[["Calls"], Awaitable[None]]


@dataclass(frozen=True)
class Shop:
    """A running system with the same catalogue in two tenants; the items of the other one have other ids."""

    system: System
    kafka: KafkaSettings
    catalogue: Catalogue


@dataclass
class Calls:
    """An agent's calls."""

    client: Client
    catalogue: Catalogue
    names: list[str] = field(default_factory=list)

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        """The structured answer of a tool."""
        result = await self.raw(tool, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def raw(self, tool: str, **arguments: Any) -> types.CallToolResult:
        self.names.append(tool)
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, types.CallToolResult)
        return result


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("agents")
    catalogue = draw_catalogue(folder / "shop", PRODUCTS, SEED)
    other = (catalogue.folder / "products.csv").read_text().replace("\np", "\nq")
    (catalogue.folder / "other.csv").write_text(other)
    system = System(folder / "data", make_environment(folder / "data", {"LOOKSTREAM_ENCODER": "fast"})).start()
    try:
        for tenant, feed in ((TENANT, "products.csv"), (OTHER, "other.csv")):
            names = str(catalogue.folder / feed), "--image-root", str(catalogue.folder), "--tenant", tenant
            system.run("ingest", "catalog", *names, "--wait")
        yield Shop(system, second_kafka(system), catalogue)
    finally:
        system.stop()


def solve(shop: Shop, *tasks: Agent, writes: bool = False) -> list[Calls]:
    """Let agents do tasks with the client of MCP in this process; their calls."""

    async def work() -> list[Calls]:
        with closing(AsyncSearchClient(shop.kafka)) as searches:
            tools = CatalogueTools(searches, WatchClient(shop.kafka), TENANT, shop.catalogue.folder)
            async with Client(make_server(tools.all(writes=writes), "1")) as client:
                done = []
                for task in tasks:
                    done.append(Calls(client, shop.catalogue))
                    await task(done[-1])
                return done

    return asyncio.run(work())


def finds_the_kind_of_photo(number: int) -> Agent:
    async def task(call: Calls) -> None:
        product = call.catalogue.products[number]
        found = await call("search_by_picture", picture_file=product.photo, strict=False, top_k=3)
        assert found["items"][0]["category"] == product.kind

    return task


def finds_the_product_of_a_studio_picture(number: int) -> Agent:
    async def task(call: Calls) -> None:
        product = call.catalogue.products[number]
        data = base64.b64encode((call.catalogue.folder / product.image).read_bytes()).decode()
        found = await call("search_by_picture", picture_base64=data, intent="exact")
        assert found["items"][0]["item_id"] == product.id

    return task


def finds_by_words(number: int) -> Agent:
    async def task(call: Calls) -> None:
        product = call.catalogue.products[number]
        found = await call("search_by_words", text=f"{product.colour} {product.kind}")
        assert product.id in {item["item_id"] for item in found["items"]}
        assert {item["category"] for item in found["items"]} == {product.kind}

    return task


def finds_what_an_item_is_like(number: int) -> Agent:
    async def task(call: Calls) -> None:
        product = call.catalogue.products[number]
        found = await call("search_by_item", item_id=product.id, top_k=3, explain=True)
        assert product.id not in {item["item_id"] for item in found["items"]}
        assert found["items"][0]["category"] == product.kind
        assert found["items"][0]["why"]["object"] > 0

    return task


async def counts_a_category(call: Calls) -> None:
    counts = (await call("count_items", facets=["category"]))["counts"]["category"]
    kinds = [product.kind for product in call.catalogue.products]
    assert counts == {kind: kinds.count(kind) for kind in set(kinds)}


async def finds_the_cheapest_of_a_kind(call: Calls) -> None:
    kind = call.catalogue.products[0].kind
    found = await call("search_by_words", text=kind, filters={"price_max": 1_000, "currency": "EUR"}, top_k=50)
    assert all(item["price"] <= 1_000 for item in found["items"])


async def finds_an_item_in_another_colour(call: Calls) -> None:
    product = call.catalogue.products[0]
    colour = next(each.colour for each in call.catalogue.products if each.kind == product.kind and each != product)
    found = await call("search_by_item", item_id=product.id, text=f"but in {colour}")
    assert all(colour in item["colours"] for item in found["items"])


async def finds_each_thing_of_a_street(call: Calls) -> None:
    found = await call("search_by_picture", picture_file=STREET, each_thing=True, strict=False)
    things = sorted(found["things"], key=lambda thing: thing["box"][0])
    assert len(things) >= len(STREET_KINDS) - 1


async def is_honest_about_noise(call: Calls) -> None:
    png = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)).save(png, "PNG")
    data = base64.b64encode(png.getvalue()).decode()
    assert (await call("search_by_picture", picture_base64=data))["status"] == "no_match"


async def mends_a_wrong_argument(call: Calls) -> None:
    wrong = await call.raw("search_by_words", text="red", filters={"colors": ["red"]})
    assert wrong.is_error
    assert "filters.colors" in str(wrong.content)
    assert (await call("search_by_words", text="red", filters={"colours": ["red"]}))["status"] == "ok"


async def looks_at_a_contact_sheet(call: Calls) -> None:
    result = await call.raw("draw_contact_sheet", item_id=call.catalogue.products[3].id)
    [image] = result.content
    assert isinstance(image, types.ImageContent)
    assert Image.open(BytesIO(base64.b64decode(image.data))).width > 600


async def says_that_an_item_is_unknown(call: Calls) -> None:
    found = await call("search_by_item", item_id="nothing")
    assert found["status"] == "rejected"
    assert "nothing" in found["note"]


READING: list[Agent] = [
    *map(finds_the_kind_of_photo, (1, 20, 40)),
    *map(finds_the_product_of_a_studio_picture, (2, 21, 41)),
    *map(finds_by_words, (3, 22, 42)),
    *map(finds_what_an_item_is_like, (4, 23, 43)),
    counts_a_category,
    finds_the_cheapest_of_a_kind,
    finds_an_item_in_another_colour,
    finds_each_thing_of_a_street,
    is_honest_about_noise,
    mends_a_wrong_argument,
    looks_at_a_contact_sheet,
    says_that_an_item_is_unknown,
]


def test_an_agent_solves_twenty_tasks_in_three_calls_each(shop: Shop) -> None:
    assert len(READING) == 20
    assert all(len(calls.names) <= MOST_CALLS for calls in solve(shop, *READING))


def test_an_agent_adds_and_removes_a_standing_search_if_it_may_write(shop: Shop) -> None:
    async def watch(call: Calls) -> None:
        product = call.catalogue.products[0]
        assert (await call("add_watch", watch_id="mine", item_id=product.id))["active"] == ["mine"]
        assert (await call("list_watches"))["active"] == ["mine"]
        assert (await call("remove_watch", watch_id="mine"))["active"] == []

    async def write_without_right(call: Calls) -> None:
        result = await call.raw("add_watch", watch_id="mine", item_id="p0001")
        assert result.is_error
        assert "add_watch" not in {tool.name for tool in (await call.client.list_tools()).tools}

    solve(shop, watch, writes=True)
    solve(shop, write_without_right)


texts = st.one_of(st.sampled_from(["red bag", "q0001", OTHER, f"tenant={OTHER}"]), st.text(min_size=1, max_size=30))
calls_of_agents = st.one_of(
    st.tuples(st.just("search_by_words"), st.fixed_dictionaries({"text": texts})),
    st.tuples(
        st.just("search_by_item"), st.fixed_dictionaries({"item_id": st.sampled_from(["q0001", "other:q0001"])})
    ),
    st.tuples(st.just("count_items"), st.fixed_dictionaries({"limit": st.integers(1, 200)})),
    st.tuples(
        st.sampled_from(["search_by_words", "count_items", "list_watches"]),
        st.fixed_dictionaries({"tenant": st.just(OTHER), "text": texts}),
    ),
    st.tuples(st.just("search_by_picture"), st.fixed_dictionaries({"picture_file": texts})),
)


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(calls_of_agents, min_size=1, max_size=3))
def test_no_call_reaches_the_items_of_another_tenant(shop: Shop, calls: list[tuple[str, dict[str, Any]]]) -> None:
    async def try_all(call: Calls) -> None:
        for tool, arguments in calls:
            answer = (await call.raw(tool, **arguments)).structured_content or {}
            found = {item["item_id"] for item in answer.get("items", [])}
            assert not {item for item in found if item.startswith("q")}
            assert sum(answer.get("counts", {}).get("source", {}).values()) <= PRODUCTS

    solve(shop, try_all)


def test_the_command_of_the_page_serves_an_agent_on_standard_input(shop: Shop) -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    [line] = re.findall(r"```sh\n(.*)\n```", page)
    [client] = json.loads(re.findall(r"```json\n(.*)\n```", page)[0])["mcpServers"].values()
    program, *words = line.split()
    assert (program, words) == (client["command"], client["args"])
    command = StdioServerParameters(
        command=LOOKSTREAM[0],
        args=[*LOOKSTREAM[1:], *words],
        env={**shop.system.environment, "PYTHONPATH": str(ROOT)},
        cwd=str(shop.catalogue.folder),
    )
    photo = Path(shop.catalogue.products[0].photo).name

    async def ask() -> tuple[Any, Any]:
        async with Client(command) as client:
            counts = await client.call_tool("count_items", {"facets": ["source"]})
            return counts, await client.call_tool("search_by_picture", {"picture_file": photo, "strict": False})

    counts, found = asyncio.run(ask())
    assert json.loads(counts.content[0].text)["counts"]["source"] == {"catalog": PRODUCTS}
    assert found.structured_content["items"]
