"""Rights: what each part must be allowed on Apache Kafka, and nothing more; docs/operate.md has the same table."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.topics import (
    CATALOG_ITEMS,
    DEAD_LETTER_TOPICS,
    DEAD_LETTERS_AUDIT,
    GATEWAY_CLAIMS,
    ITEM_OUTCOMES,
    ITEM_TOPICS,
    RETRY_TOPICS,
    SEARCH_MATCHES,
    SEARCH_REQUESTS,
    SEARCH_RESULTS,
    SEARCH_WATCHES,
    SOCIAL_POSTS,
    all_topics,
    dead_letter_topic,
)

INDEX_GROUPS, QUERY_GROUP = "lookstream-index", "lookstream-query"
"""How the groups of index workers begin, and the group of query workers; transactional ids begin like that one."""

READERS_GROUP = "lookstream-readers"
"""What readers that are in no group call theirs: a client asks who coordinates it, which a right is needed for."""


class KafkaUser(StrEnum):
    """Who signs in to Kafka: each can have a user of its own."""

    INDEX = "index"
    QUERY = "query"
    GATEWAY = "gateway"
    SEND = "send"
    SEARCH = "search"
    WATCH = "watch"
    DEAD_LETTERS = "dead-letters"
    TOPICS = "topics"


class Resource(StrEnum):
    """What a right is about, as an option of kafka-acls.sh."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


@dataclass(frozen=True)
class AccessRight:
    """Operations that are allowed on a resource, or on all whose names begin so."""

    resource: Resource
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False

    def command(self, principal: str, bootstrap: str) -> str:
        """The line for Apache Kafka's kafka-acls.sh that grants it."""
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
        words += [word for operation in self.operations for word in ("--operation", operation)]
        words += [f"--{self.resource}", self.name]
        return shlex.join([*words, "--resource-pattern-type", "prefixed"] if self.prefixed else words)


READS: Mapping[KafkaUser, Sequence[str]] = {
    KafkaUser.INDEX: (*ITEM_TOPICS, *RETRY_TOPICS, SEARCH_WATCHES),
    KafkaUser.QUERY: (SEARCH_REQUESTS, SEARCH_RESULTS),
    KafkaUser.GATEWAY: (SEARCH_RESULTS, ITEM_OUTCOMES, GATEWAY_CLAIMS),
    KafkaUser.SEND: (ITEM_OUTCOMES,),
    KafkaUser.SEARCH: (SEARCH_RESULTS,),
    KafkaUser.WATCH: (SEARCH_WATCHES, SEARCH_MATCHES),
    KafkaUser.DEAD_LETTERS: (*DEAD_LETTER_TOPICS, DEAD_LETTERS_AUDIT),
}
WRITES: Mapping[KafkaUser, Sequence[str]] = {
    KafkaUser.INDEX: (
        *RETRY_TOPICS,
        dead_letter_topic(CATALOG_ITEMS),
        dead_letter_topic(SOCIAL_POSTS),
        ITEM_OUTCOMES,
        SEARCH_MATCHES,
    ),
    KafkaUser.QUERY: (SEARCH_RESULTS, dead_letter_topic(SEARCH_REQUESTS)),
    KafkaUser.GATEWAY: (SEARCH_REQUESTS, *ITEM_TOPICS, GATEWAY_CLAIMS),
    KafkaUser.SEND: ITEM_TOPICS,
    KafkaUser.SEARCH: (SEARCH_REQUESTS,),
    KafkaUser.WATCH: (SEARCH_WATCHES,),
    KafkaUser.DEAD_LETTERS: (*ITEM_TOPICS, DEAD_LETTERS_AUDIT),
}
DESCRIBES: Mapping[KafkaUser, Sequence[str]] = {KafkaUser.QUERY: ITEM_TOPICS}
"""Topics of which only the ends are asked."""

TOPIC_OPERATIONS = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
"""What `lookstream topics` needs; AlterConfigs is for `create --update` alone."""


def rights(part: KafkaUser, prefix: str = "") -> list[AccessRight]:
    """What a part must be allowed; `prefix` is that of LOOKSTREAM_KAFKA_PREFIX."""
    return list(_rights(part, prefix))


def _rights(part: KafkaUser, prefix: str) -> Iterator[AccessRight]:
    if part is KafkaUser.TOPICS:
        for topic in all_topics():
            yield AccessRight(Resource.TOPIC, prefix + topic.name, TOPIC_OPERATIONS)
        return
    allowed = {"Read": READS.get(part, ()), "Write": WRITES.get(part, ()), "Describe": DESCRIBES.get(part, ())}
    for name in dict.fromkeys(name for names in allowed.values() for name in names):
        operations = tuple(operation for operation, names in allowed.items() if name in names)
        yield AccessRight(Resource.TOPIC, prefix + name, operations)
    if READS.get(part):
        yield AccessRight(Resource.GROUP, prefix + READERS_GROUP, ("Describe",))
    if part is KafkaUser.INDEX:
        yield AccessRight(Resource.GROUP, prefix + INDEX_GROUPS, ("Read",), prefixed=True)
    if part is KafkaUser.QUERY:
        yield AccessRight(Resource.GROUP, prefix + QUERY_GROUP, ("Read",))
        transactions = f"{prefix}{QUERY_GROUP}-"
        yield AccessRight(Resource.TRANSACTIONAL_ID, transactions, ("Describe", "Write"), prefixed=True)
