"""Contract export: generate JSON Schema 2020-12 for every event and AsyncAPI 3.0 for the topics."""

import json
from pathlib import Path
from typing import Any

from schemas.cloud_events import TYPE_PREFIX
from schemas.envelope import BODIES, CORRELATION_ID, REPLY_PARTITION, REPLY_TO, TRACEPARENT
from schemas.topics import (
    CATALOG_ITEMS,
    DEAD_LETTERS_AUDIT,
    ITEM_OUTCOMES,
    SEARCH_MATCHES,
    SEARCH_REQUESTS,
    SEARCH_RESULTS,
    SEARCH_WATCHES,
    SOCIAL_POSTS,
    all_topics,
)

ITEM_EVENTS = ("item.upserted/1", "item.patched/1", "item.deleted/1")
OUTCOME_EVENTS = ("item.indexed/1", "item.removed/1", "item.blocked/1", "item.superseded/1", "item.rejected/1")
EVENTS_OF = {
    CATALOG_ITEMS: ITEM_EVENTS,
    SOCIAL_POSTS: ITEM_EVENTS,
    SEARCH_REQUESTS: ("search.request/1", "facets.request/1"),
    SEARCH_RESULTS: ("search.result/1", "facets.result/1"),
    SEARCH_WATCHES: ("watch/1",),
    SEARCH_MATCHES: ("watch.matched/1",),
    ITEM_OUTCOMES: OUTCOME_EVENTS,
    DEAD_LETTERS_AUDIT: ("dead_letter.replayed/1",),
}
"""Events of each topic; retry and dead-letter topics contain the events of their source topic."""
HEADERS = {
    "ce_specversion": "CloudEvents version, 1.0",
    "ce_id": "Id of the event, unique within its ce_source",
    "ce_type": f"{TYPE_PREFIX} and the value of the field `schema`, which it replaces where that is missing",
    "ce_source": "Producer of the event",
    "ce_time": "Time of the event, RFC 3339",
    "content-type": "application/json; application/cloudevents+json if the value holds the attributes too",
    TRACEPARENT: "W3C trace context, optional",
    CORRELATION_ID: "Search requests and their results: id of the request",
    REPLY_TO: "Search requests: topic of the result, optional",
    REPLY_PARTITION: "Search requests: partition of the result, optional",
}
CONSUMED_TOPICS = (CATALOG_ITEMS, SOCIAL_POSTS, SEARCH_REQUESTS, SEARCH_WATCHES)


def file_name(schema: str) -> str:
    return schema.replace("/", ".v") + ".json"


def contracts() -> dict[str, str]:
    """The text of every exported file, by file name."""
    files = {file_name(name): _to_json(_json_schema(name)) for name in BODIES}
    return files | {"asyncapi.json": _to_json(asyncapi())}


def write_contracts(folder: Path) -> list[Path]:
    """Write all contracts into a folder, which is created if missing; returns the paths of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in contracts().items():
        path = folder / name
        path.write_text(text)
        paths.append(path)
    return paths


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: topics as channels, with the operation (receive or send) of lookstream on each."""
    topics = {topic.name: topic for topic in all_topics() if topic.name in EVENTS_OF}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "lookstream", "version": "1", "description": "Event-driven visual search over Kafka."},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, topic.what, topic.partitions) for name, topic in topics.items()},
        "operations": {f"on-{name}": _operation(name) for name in topics},
        "components": {"messages": {_message_id(schema): _message(schema) for schema in BODIES}},
    }


def _channel(name: str, description: str, partitions: int) -> dict[str, Any]:
    messages = {_message_id(s): {"$ref": f"#/components/messages/{_message_id(s)}"} for s in EVENTS_OF[name]}
    bindings = {"kafka": {"topic": name, "partitions": partitions, "bindingVersion": "0.5.0"}}
    return {"address": name, "description": description, "messages": messages, "bindings": bindings}


def _operation(name: str) -> dict[str, Any]:
    action = "receive" if name in CONSUMED_TOPICS else "send"
    return {"action": action, "channel": {"$ref": f"#/channels/{name}"}}


def _message(schema: str) -> dict[str, Any]:
    headers = {name: {"type": "string", "description": text} for name, text in HEADERS.items()}
    return {
        "name": schema,
        "contentType": "application/json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"$ref": f"./{file_name(schema)}"},
    }


def _json_schema(name: str) -> dict[str, Any]:
    schema = BODIES[name].model_json_schema(by_alias=True)
    # `schema` has a default in the model, but the JSON must contain it.
    schema["required"] = ["schema", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"lookstream:{name}", **schema}


def _message_id(schema: str) -> str:
    return schema.replace("/", "-v")


def _to_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
