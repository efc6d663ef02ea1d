"""The topics: names, keys, partitions and policies."""

from dataclasses import dataclass

CATALOG_ITEMS = "catalog.items"
SOCIAL_POSTS = "social.posts"
SEARCH_REQUESTS = "search.requests"
SEARCH_RESULTS = "search.results"
ITEM_OUTCOMES = "item.outcomes"

ITEM_TOPICS = (CATALOG_ITEMS, SOCIAL_POSTS)
RETRY_DELAYS = {"5s": 5, "60s": 60, "600s": 600}
"""Seconds that an event waits in each retry topic; one constant delay a topic."""

REPLY_TO_PATTERN = r"^search\.results(\.[a-z0-9-]{1,40})?$"
"""Topics that a request may name as its reply-to; anything else is refused."""

MINUTE, DAY = 60_000, 86_400_000


@dataclass(frozen=True)
class Topic:
    """A topic to create: `retention_ms` of None means that the newest record of a key stays."""

    name: str
    partitions: int
    retention_ms: int | None
    what: str

    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's own words."""
        if self.retention_ms is None:
            return {"cleanup.policy": "compact"}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


def retry_topic(source: str, delay: str) -> str:
    """Where events of `source` wait for another try; `delay` is a key of RETRY_DELAYS."""
    return f"{source}.retry.{delay}"


def dead_letter_topic(source: str) -> str:
    """Where records of `source` go that will never work as they are."""
    return f"{source}.dead"


def _with_failures(topic: Topic) -> list[Topic]:
    dead = Topic(dead_letter_topic(topic.name), 1, 30 * DAY, f"records of {topic.name} that were refused")
    retries = [
        Topic(retry_topic(topic.name, delay), 1, 2 * DAY, f"events of {topic.name} that wait {delay}")
        for delay in RETRY_DELAYS
    ]
    return [topic, *retries, dead]


def all_topics() -> tuple[Topic, ...]:
    """Every topic of the system."""
    items = Topic(CATALOG_ITEMS, 4, None, "events of merchants' catalogs")
    posts = Topic(SOCIAL_POSTS, 4, None, "events of social posts")
    requests = Topic(SEARCH_REQUESTS, 2, 10 * MINUTE, "search requests")
    results = Topic(SEARCH_RESULTS, 2, 10 * MINUTE, "search results")
    outcomes = Topic(ITEM_OUTCOMES, 2, 7 * DAY, "what became of each item event")
    dead_requests = Topic(dead_letter_topic(SEARCH_REQUESTS), 1, 30 * DAY, "unreadable search requests")
    return (*_with_failures(items), *_with_failures(posts), requests, dead_requests, results, outcomes)
