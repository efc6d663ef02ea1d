"""The TypeScript client is current and strictly typed."""

from pathlib import Path

import httpx

from tests.producers.gateway.typescript import (
    COMPILER,
    GENERATOR,
    SCHEMA,
    compile_client,
    digest_of,
    generate,
    require,
)


def test_the_types_are_those_of_the_gateways_document(client: httpx.Client) -> None:
    document = client.get("/v1/openapi.json").json()
    current = digest_of(document) in SCHEMA.read_text()
    assert current, "run `.venv/bin/python -m tests.producers.gateway.typescript`"


def test_the_generator_writes_these_types(client: httpx.Client, tmp_path: Path) -> None:
    require(GENERATOR)
    assert generate(client.get("/v1/openapi.json").json(), tmp_path) == SCHEMA.read_text()


def test_the_compiler_refuses_wrong_fields_and_wrong_values(tmp_path: Path) -> None:
    require(COMPILER)
    start = 'import { LookstreamClient } from "./client.js";\nconst client = new LookstreamClient("http://a");\n'
    wrong = (
        'client.search({ text: "red", topk: 3 });',
        "client.search({ top_k: true });",
        "client.facets({ facets: ['x'] });",
    )
    for number, line in enumerate(wrong):
        done = compile_client(tmp_path / str(number), wrong=start + line)
        assert done.returncode != 0
        assert "wrong.ts(3," in done.stdout
        assert "client.ts(" not in done.stdout
