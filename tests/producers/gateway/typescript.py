"""The TypeScript types of the gateway: `python -m tests.producers.gateway.typescript` writes them again."""

import json
import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.config.gateway import GatewaySettings
from producers.gateway.app import make_gateway_app
from producers.gateway.middleware import GuardSettings
from tests.kafka.brokers import open_kafka
from tests.producers.gateway.conftest import gateway_parts_of

FOLDER = Path(__file__).parents[3] / "producers/gateway/typescript"
SCHEMA = FOLDER / "schema.ts"
GENERATOR, COMPILER = "openapi-typescript@7.13.0", "typescript@5.9.3"
PROGRAMS = {GENERATOR: "openapi-typescript", COMPILER: "tsc"}
"""The program of each npm package."""
HEAD = "// Generated from /v1/openapi.json by openapi-typescript; the SHA-256 of the document is\n// {digest}\n"
SECONDS = 240


def digest_of(document: dict[str, Any]) -> str:
    """The SHA-256 of an OpenAPI document, whatever the order of its fields."""
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def npx(package: str, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program of a pinned npm package."""
    npx = shutil.which("npx")
    assert npx is not None
    command = [npx, "--yes", "--package", package, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=dict(os.environ)
    )


def generate(document: dict[str, Any], folder: Path) -> str:
    """The types of a document; raises AssertionError with the output of the generator."""
    source, target = folder / "openapi.json", folder / "schema.ts"
    source.write_text(json.dumps(document))
    # Fields with a default are optional, because the gateway fills them in.
    done = npx(GENERATOR, PROGRAMS[GENERATOR], source, "--output", target, "--default-non-nullable", "false")
    assert done.returncode == 0, done.stderr
    return HEAD.format(digest=digest_of(document)) + target.read_text()


def require(package: str) -> None:
    """Skip the test, with the reason, if Node is missing or the package cannot be had."""
    if shutil.which("node") is None or shutil.which("npx") is None:
        pytest.skip("Node is not installed: install Debian's packages nodejs and npm")
    program = (
        package.split("@")[0].replace("typescript", "tsc")
        if package.startswith("typescript")
        else package.split("@")[0]
    )
    done = npx(package, program, "--version")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {package}: {done.stderr.strip()[-200:]}")


def compile_client(folder: Path, **programs: str) -> "subprocess.CompletedProcess[str]":
    """Compile the client, and further programs beside it, into JavaScript."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    for name, text in programs.items():
        (folder / f"{name}.ts").write_text(text)
    return npx(COMPILER, PROGRAMS[COMPILER], "--project", folder)


def main() -> None:
    """Write the types of this version of the gateway."""
    guard = GuardSettings(GatewaySettings())
    with open_kafka() as kafka, gateway_parts_of(kafka, guard) as parts, tempfile.TemporaryDirectory() as folder:
        SCHEMA.write_text(generate(make_gateway_app(guard, parts, lambda: None).openapi(), Path(folder)))


if __name__ == "__main__":
    main()
