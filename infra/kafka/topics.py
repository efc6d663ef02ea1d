"""Creating the topics."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.kafka.client import check_broker, client_config, log
from infra.settings import Kafka
from schemas.failures import Unavailable
from schemas.topics import Topic


def create_topics(kafka: Kafka, topics: Sequence[Topic]) -> list[str]:
    """Create the topics that do not exist yet; the names of those that were created."""
    check_broker(kafka)
    admin = AdminClient(client_config(kafka), logger=log)
    size = kafka.record_bytes
    wanted = [
        NewTopic(t.name, t.partitions, replication_factor=kafka.replication, config=t.config(size)) for t in topics
    ]
    created = []
    for name, future in admin.create_topics(wanted, request_timeout=30).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Unavailable(f"topic {name} could not be created: {error.args[0].str()}") from None
    return created
