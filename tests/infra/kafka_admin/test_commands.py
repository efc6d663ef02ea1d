"""`lookstream topics`: it creates missing topics, names differences with their remedies, and prints rights."""

import json
import os
import re
from pathlib import Path

import pytest

from infra.config.kafka import KafkaSettings
from schemas.topics import FRAMING_BYTES, MAX_RECORD_BYTES, all_topics
from tests.end_to_end import forked_cli

ROOT = Path(__file__).parents[3]
NEEDED = MAX_RECORD_BYTES + FRAMING_BYTES
PAGE = (ROOT / "docs" / "operate.md").read_text()


def run(kafka: KafkaSettings, *words: str, code: int = 0, **settings: str) -> tuple[str, str]:
    """The standard output and the standard error of `lookstream topics`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {"LOOKSTREAM_KAFKA_BOOTSTRAP": str(kafka.bootstrap), "LOOKSTREAM_KAFKA_PREFIX": kafka.prefix}
    done = forked_cli.run(["topics", *words], inherited | own | settings, ROOT, 120)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_creating_again_changes_nothing(kafka: KafkaSettings) -> None:
    assert run(kafka, "create") == ("all topics exist\n", "")
    assert run(kafka, "check") == ("all topics are as they must be\n", "")


def test_missing_topics_are_reported_and_created(kafka: KafkaSettings) -> None:
    fresh = kafka.model_copy(update={"prefix": f"{kafka.prefix}fresh."})
    _, errors = run(fresh, "check", code=1)
    assert f"missing: {fresh.prefix}catalog.items" in errors
    printed, _ = run(fresh, "create")
    assert printed.startswith(f"created {len(all_topics())} topics: {fresh.prefix}catalog.items")
    assert run(fresh, "check")[0] == "all topics are as they must be\n"


def test_differences_are_reported_with_the_command_that_corrects_them(
    kafka: KafkaSettings, kafka_server: str | None
) -> None:
    if kafka_server is None:
        pytest.skip("the local broker keeps no settings of topics: `make conformance` runs this")
    old = kafka.model_copy(update={"prefix": f"{kafka.prefix}old."})
    run(old, "create", LOOKSTREAM_KAFKA_RECORD_BYTES="900000")
    for words, code in ((("create",), 0), (("check",), 1)):
        _, errors = run(old, *words, code=code)
        assert (
            f"{old.prefix}catalog.items: max.message.bytes is {900_000 + FRAMING_BYTES}, and must be {NEEDED}"
            in errors
        )
        assert f"--entity-name {old.prefix}catalog.items --add-config max.message.bytes={NEEDED}" in errors
        assert "lookstream topics create --update" in errors
    printed, _ = run(old, "create", "--update")
    assert f"{old.prefix}catalog.items: max.message.bytes" in printed
    assert run(old, "check")[0] == "all topics are as they must be\n"


def test_rights_are_printed_for_the_parts_and_the_user_that_are_named() -> None:
    lines = run(KafkaSettings(bootstrap="k:9092"), "acls", "--part", "query", "--principal", "User:q")[
        0
    ].splitlines()
    assert lines[0] == "# query"
    assert all(
        line.startswith("kafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:q ")
        for line in lines[1:]
    )
    everything = run(KafkaSettings(bootstrap="k:9092", prefix="shop."), "acls")[0]
    assert "--allow-principal User:lookstream-index --operation Read --topic shop.catalog.items" in everything


def test_every_command_of_topics_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`lookstream topics (\w+)", PAGE))
    assert named == {"create", "check", "acls"}


def test_the_settings_that_the_page_passes_on_are_taken() -> None:
    [passed] = re.findall(r"`LOOKSTREAM_KAFKA_CLIENT` as JSON, for example `([^`]+)`", PAGE)
    assert KafkaSettings.model_validate({"client": json.loads(passed)}).client
