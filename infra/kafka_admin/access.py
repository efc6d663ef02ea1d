"""Access control: the minimal ACLs that each part needs on Apache Kafka; docs/operate.md has the same table."""

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
    READERS_GROUP,
    RETRY_TOPICS,
    SEARCH_MATCHES,
    SEARCH_REQUESTS,
    SEARCH_RESULTS,
    SEARCH_WATCHES,
    SOCIAL_POSTS,
    all_topics,
    dead_letter_topic,
)

INDEX_GROUP_PREFIX, QUERY_GROUP = "lookstream-index", "lookstream-query"
"""Prefix of the index workers' groups, and the query workers' group, the prefix of their transactional ids."""


class KafkaUser(StrEnum):
    """Parts of the system that authenticate to Kafka; each can have its own user."""

    INDEX = "index"
    QUERY = "query"
    GATEWAY = "gateway"
    SEND = "send"
    SEARCH = "search"
    WATCH = "watch"
    DEAD_LETTERS = "dead-letters"
    TOPICS = "topics"


class Resource(StrEnum):
    """Resource type of an ACL, named as the option of kafka-acls.sh."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


@dataclass(frozen=True)
class AccessRight:
    """Operations that are allowed on one resource or, if `prefixed`, on all whose names start with `name`."""

    resource: Resource
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False

    def command(self, principal: str, bootstrap: str) -> str:
        """The kafka-acls.sh command line that grants this right."""
        arguments = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
        arguments += [argument for operation in self.operations for argument in ("--operation", operation)]
        arguments += [f"--{self.resource}", self.name]
        return shlex.join([*arguments, "--resource-pattern-type", "prefixed"] if self.prefixed else arguments)


READ_TOPICS: Mapping[KafkaUser, Sequence[str]] = {
    KafkaUser.INDEX: (*ITEM_TOPICS, *RETRY_TOPICS, SEARCH_WATCHES),
    KafkaUser.QUERY: (SEARCH_REQUESTS, SEARCH_RESULTS),
    KafkaUser.GATEWAY: (SEARCH_RESULTS, ITEM_OUTCOMES, GATEWAY_CLAIMS),
    KafkaUser.SEND: (ITEM_OUTCOMES,),
    KafkaUser.SEARCH: (SEARCH_RESULTS,),
    KafkaUser.WATCH: (SEARCH_WATCHES, SEARCH_MATCHES),
    KafkaUser.DEAD_LETTERS: (*DEAD_LETTER_TOPICS, DEAD_LETTERS_AUDIT),
}
WRITE_TOPICS: Mapping[KafkaUser, Sequence[str]] = {
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
DESCRIBE_TOPICS: Mapping[KafkaUser, Sequence[str]] = {KafkaUser.QUERY: ITEM_TOPICS}
"""Topics of which only the end offsets are read."""

TOPIC_OPERATIONS = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
"""Operations that `lookstream topics` needs; AlterConfigs is only for `create --update`."""


def access_rights(part: KafkaUser, prefix: str = "") -> list[AccessRight]:
    """ACLs that a part needs; `prefix` is the value of LOOKSTREAM_KAFKA_PREFIX."""
    return list(_iterate_rights(part, prefix))


def _iterate_rights(part: KafkaUser, prefix: str) -> Iterator[AccessRight]:
    if part is KafkaUser.TOPICS:
        for topic in all_topics():
            yield AccessRight(Resource.TOPIC, prefix + topic.name, TOPIC_OPERATIONS)
        return
    allowed = {
        "Read": READ_TOPICS.get(part, ()),
        "Write": WRITE_TOPICS.get(part, ()),
        "Describe": DESCRIBE_TOPICS.get(part, ()),
    }
    for name in dict.fromkeys(name for names in allowed.values() for name in names):
        operations = tuple(operation for operation, names in allowed.items() if name in names)
        yield AccessRight(Resource.TOPIC, prefix + name, operations)
    if READ_TOPICS.get(part):
        yield AccessRight(Resource.GROUP, prefix + READERS_GROUP, ("Describe",))
    if part is KafkaUser.INDEX:
        yield AccessRight(Resource.GROUP, prefix + INDEX_GROUP_PREFIX, ("Read",), prefixed=True)
    if part is KafkaUser.QUERY:
        yield AccessRight(Resource.GROUP, prefix + QUERY_GROUP, ("Read",))
        transactions = f"{prefix}{QUERY_GROUP}-"
        yield AccessRight(Resource.TRANSACTIONAL_ID, transactions, ("Describe", "Write"), prefixed=True)
