"""Topics: names, partitions, retention, record sizes and retry delays of all Kafka topics."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.items import Source

CATALOG_ITEMS = "catalog.items"
SOCIAL_POSTS = "social.posts"
SEARCH_REQUESTS = "search.requests"
SEARCH_RESULTS = "search.results"
SEARCH_WATCHES = "search.watches"
SEARCH_MATCHES = "search.matches"
ITEM_OUTCOMES = "item.outcomes"
DEAD_LETTERS_AUDIT = "dead-letters.audit"
GATEWAY_CLAIMS = "gateway.claims"

ITEM_TOPICS = (CATALOG_ITEMS, SOCIAL_POSTS)
TOPIC_OF: Mapping[Source, str] = {"catalog": CATALOG_ITEMS, "social": SOCIAL_POSTS}
"""The item topic of each source."""
RETRY_DELAYS = {"5s": 5, "60s": 60, "600s": 600}
"""Delay of each retry topic in seconds; every topic has one constant delay."""

REPLY_TO_PATTERN = r"^search\.results(\.[a-z0-9-]{1,40})?$"
"""Topics that a request may name in its reply-to header; any other topic is rejected."""

MINUTE, DAY = 60_000, 86_400_000
MAX_RECORD_BYTES = 8_000_000
"""Maximum size in bytes of a record that a client sends. The largest event fits, with its headers and eight inline
pictures. Hosted brokers accept at most 8 MiB (DECISIONS.md)."""
FRAMING_BYTES = 100_000
"""Bytes that a topic accepts in addition, for the protocol overhead of a record batch."""
READERS_GROUP = "lookstream-readers"
"""`group.id` of readers that join no group. librdkafka still looks up its coordinator, which requires an ACL."""


@dataclass(frozen=True)
class Topic:
    """A topic to create; without `retention_ms` it is compacted, which retains the newest record of each key."""

    name: str
    partitions: int
    retention_ms: int | None
    what: str

    def config(self, record_bytes: int = MAX_RECORD_BYTES) -> dict[str, str]:
        """Kafka's configuration of the topic; `record_bytes` is the maximum record size of the clients.

        All topics accept the same size, so that every record can be sent on to a retry or dead-letter topic.
        """
        size = {"max.message.bytes": str(record_bytes + FRAMING_BYTES)}
        if self.retention_ms is None:
            return size | {"cleanup.policy": "compact"}
        return size | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


def retry_topic(source: str, delay: str) -> str:
    """The retry topic of `source` with the given delay, a key of RETRY_DELAYS."""
    return f"{source}.retry.{delay}"


def source_topic(topic: str) -> str:
    """The source topic of a retry topic; any other topic is returned unchanged."""
    source, _, delay = topic.rpartition(".retry.")
    return source if source in ITEM_TOPICS and delay in RETRY_DELAYS else topic


def dead_letter_topic(source: str) -> str:
    """The dead-letter topic of `source`, for records that can never be processed as they are."""
    return f"{source}.dead"


RETRY_TOPICS = tuple(retry_topic(topic, delay) for topic in ITEM_TOPICS for delay in RETRY_DELAYS)
DEAD_LETTER_TOPICS = tuple(dead_letter_topic(topic) for topic in (*ITEM_TOPICS, SEARCH_REQUESTS))


def _with_failure_topics(topic: Topic) -> list[Topic]:
    name, description = dead_letter_topic(topic.name), f"rejected records of {topic.name}"
    dead_letters = Topic(name, 1, 30 * DAY, description)
    retries = [
        Topic(retry_topic(topic.name, delay), 1, 2 * DAY, f"events of {topic.name} that are retried after {delay}")
        for delay in RETRY_DELAYS
    ]
    return [topic, *retries, dead_letters]


def all_topics() -> tuple[Topic, ...]:
    items = Topic(CATALOG_ITEMS, 4, None, "item events of merchants' catalogs")
    posts = Topic(SOCIAL_POSTS, 4, None, "item events of social posts")
    requests = Topic(SEARCH_REQUESTS, 2, 10 * MINUTE, "search and facets requests")
    results = Topic(SEARCH_RESULTS, 2, 10 * MINUTE, "search and facets results")
    watches = Topic(SEARCH_WATCHES, 1, None, "standing searches")
    matches = Topic(SEARCH_MATCHES, 2, 7 * DAY, "matches of standing searches")
    outcomes = Topic(ITEM_OUTCOMES, 2, 7 * DAY, "outcomes of item events")
    dead_requests = Topic(dead_letter_topic(SEARCH_REQUESTS), 1, 30 * DAY, "unreadable search requests")
    audit = Topic(DEAD_LETTERS_AUDIT, 1, 365 * DAY, "replays of dead letters: which, when and by whom")
    claims = Topic(GATEWAY_CLAIMS, 1, 30 * MINUTE, "named requests of all gateways, for idempotency")
    searches = (requests, dead_requests, results, watches, matches)
    return (*_with_failure_topics(items), *_with_failure_topics(posts), *searches, outcomes, audit, claims)
