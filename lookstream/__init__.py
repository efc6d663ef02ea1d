"""lookstream: event-driven visual search. Its Python API: search over Kafka, and publish item events to it.

Nothing is imported before it is used, so `import lookstream` costs little, and the command line starts quickly.
`lookstream.events` has the events, requests and results.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.client.async_search_client import AsyncSearchClient
    from infra.client.item_publisher import ItemPublisher
    from infra.client.reply_router import NoAnswer
    from infra.client.search_client import SearchClient
    from infra.config.kafka import KafkaSettings
    from schemas.failures import Unavailable

__all__ = ["AsyncSearchClient", "ItemPublisher", "KafkaSettings", "NoAnswer", "SearchClient", "Unavailable"]

_MODULES = {
    "AsyncSearchClient": "infra.client.async_search_client",
    "ItemPublisher": "infra.client.item_publisher",
    "KafkaSettings": "infra.config.kafka",
    "NoAnswer": "infra.client.reply_router",
    "SearchClient": "infra.client.search_client",
    "Unavailable": "schemas.failures",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module `lookstream` has no attribute `{name}`")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
