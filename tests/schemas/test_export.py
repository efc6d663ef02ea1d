"""The exported contracts are those of the code, and a good AsyncAPI document."""

import json
from pathlib import Path

from schemas.envelope import BODIES
from schemas.export import EVENTS_OF, asyncapi, contracts
from schemas.topics import all_topics, dead_letter_topic, retry_topic

FOLDER = Path(__file__).parents[2] / "schemas" / "json"


def test_the_exported_files_are_fresh() -> None:
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert found == contracts(), "run `make schemas` and commit what changed"


def test_every_event_has_a_channel_and_every_reference_leads_somewhere() -> None:
    document = asyncapi()
    assert {name for names in EVENTS_OF.values() for name in names} == set(BODIES)
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            assert message["$ref"].removeprefix("#/components/messages/") in document["components"]["messages"]
    for message in document["components"]["messages"].values():
        assert message["payload"]["$ref"].removeprefix("./") in contracts()


def test_a_schema_requires_its_own_name() -> None:
    for name, text in contracts().items():
        if name != "asyncapi.json":
            assert "schema" in json.loads(text)["required"]


def test_every_item_topic_has_its_retry_and_dead_letter_topics() -> None:
    names = [topic.name for topic in all_topics()]
    assert len(names) == len(set(names))
    for source in ("catalog.items", "social.posts"):
        assert {retry_topic(source, "5s"), retry_topic(source, "600s"), dead_letter_topic(source)} <= set(names)
