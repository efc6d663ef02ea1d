"""Errors when Kafka does not answer: name, TLS, sign-in, rights or no broker, each with its remedy."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.cimpl import NewTopic

from consumers.searching.reply_deduplication import read_answered_ids
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, PartitionCache, check_broker, create_topics
from infra.kafka.problems import Problems
from infra.kafka.topics import find_missing_topics, find_topic_differences, update_topics
from infra.kafka_admin.access import AccessRight, KafkaUser, Resource, access_rights
from infra.retry import Retry
from schemas.failures import Unavailable
from schemas.topics import FRAMING_BYTES, MAX_RECORD_BYTES, SEARCH_RESULTS, all_topics
from tests.infra.kafka.secured_kafka import USERS, grant, kafka_of
from tests.kafka.apache import ApacheNode, apache_node


@pytest.fixture(scope="module")
def node(kafka_server: str | None) -> Iterator[ApacheNode]:
    """Apache Kafka with users, and without any ACL."""
    if kafka_server is None:
        pytest.skip("users and ACLs are Apache Kafka's: `make conformance` runs this")
    with apache_node(USERS) as node:
        yield node


@pytest.fixture
def tls_listener(tmp_path: Path) -> Iterator[str]:
    """A listener that speaks TLS with a self-signed certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answer_with_tls, args=(listener, context), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _answer_with_tls(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        with connection, suppress(OSError):
            context.wrap_socket(connection, server_side=True)


def refusal(kafka: KafkaSettings) -> str:
    with pytest.raises(Unavailable) as refused:
        check_broker(kafka)
    return str(refused.value)


def test_a_user_with_the_right_password_is_let_in(node: ApacheNode) -> None:
    check_broker(kafka_of(node, KafkaUser.INDEX))


def test_a_wrong_password_is_told_as_such(node: ApacheNode) -> None:
    message = refusal(kafka_of(node, KafkaUser.INDEX, password="another"))
    assert f"Kafka at {node.bootstrap} refuses the sign-in as index" in message
    assert "LOOKSTREAM_KAFKA_SASL_PASSWORD" in message
    assert "another" not in message


def test_a_client_that_does_not_sign_in_is_told_of_the_protocol(node: ApacheNode) -> None:
    message = refusal(KafkaSettings(bootstrap=node.bootstrap))
    assert "LOOKSTREAM_KAFKA_SECURITY_PROTOCOL is PLAINTEXT" in message


def test_tls_to_a_listener_without_it_is_told_of_the_protocol(node: ApacheNode) -> None:
    message = refusal(KafkaSettings(bootstrap=node.bootstrap, security_protocol="SSL"))
    assert "LOOKSTREAM_KAFKA_SECURITY_PROTOCOL is SSL" in message


def test_a_certificate_that_nobody_vouches_for_is_told_as_such(tls_listener: str) -> None:
    message = refusal(KafkaSettings(bootstrap=tls_listener, security_protocol="SSL"))
    assert f"TLS to Kafka at {tls_listener} fails" in message
    assert "LOOKSTREAM_KAFKA_SSL_CA" in message


def test_a_name_that_nobody_knows_is_told_as_such() -> None:
    message = refusal(KafkaSettings(bootstrap="no-such-host.invalid:9092"))
    assert "a name of a Kafka broker is not known" in message
    assert "no-such-host.invalid" in message


def test_a_file_of_authorities_that_is_not_there_is_named() -> None:
    message = refusal(
        KafkaSettings.model_validate({"bootstrap": "k:1", "security_protocol": "SSL", "ssl_ca": "/no/ca.pem"})
    )
    assert "ssl.ca.location failed" in message


def test_a_topic_that_may_not_be_created_is_named_with_the_command(node: ApacheNode) -> None:
    with pytest.raises(
        Unavailable, match=r"topic \S+ could not be created: .*lookstream topics acls --part topics"
    ):
        create_topics(kafka_of(node, KafkaUser.TOPICS, prefix="denied."), all_topics())


def test_whoever_has_the_rights_for_topics_creates_checks_and_changes_them(node: ApacheNode) -> None:
    grant(node, KafkaUser.TOPICS, prefix="own.")
    kafka = kafka_of(node, KafkaUser.TOPICS, prefix="own.")
    smaller = kafka.model_copy(update={"record_bytes": 900_000})
    assert set(create_topics(smaller, all_topics())) == {f"own.{topic.name}" for topic in all_topics()}
    assert create_topics(smaller, all_topics()) == [], "it can be run again and again"
    assert find_missing_topics(kafka, all_topics()) == []
    assert find_topic_differences(smaller, all_topics()) == []
    differences = find_topic_differences(kafka, all_topics())
    assert {one.topic for one in differences} == {f"own.{topic.name}" for topic in all_topics()}
    needed = MAX_RECORD_BYTES + FRAMING_BYTES
    assert f"--add-config max.message.bytes={needed}" in differences[0].command(node.bootstrap)
    update_topics(kafka, differences)
    assert find_topic_differences(kafka, all_topics()) == []
    assert find_topic_differences(smaller, all_topics()) == [], "more than is needed is no fault"


def test_a_right_for_topics_that_is_missing_is_told(node: ApacheNode) -> None:
    kafka = kafka_of(node, KafkaUser.TOPICS, prefix="part.")
    grant(node, KafkaUser.TOPICS, prefix="part.")
    create_topics(kafka.model_copy(update={"record_bytes": 900_000}), all_topics())
    differences = find_topic_differences(kafka, all_topics())
    grant(node, KafkaUser.TOPICS, without("AlterConfigs"))
    with pytest.raises(Unavailable, match=r"topic part\.\S+ could not be changed: .*lookstream topics acls"):
        update_topics(kafka, differences)
    grant(node, KafkaUser.TOPICS, without("AlterConfigs", "DescribeConfigs"))
    with pytest.raises(Unavailable, match=r"settings of topic part\.\S+ could not be read: .*topics acls"):
        find_topic_differences(kafka, all_topics())


def test_what_a_producers_client_reports_is_told_with_what_its_consumer_does(node: ApacheNode) -> None:
    problems = Problems()
    kafka = kafka_of(node, KafkaUser.INDEX, password="wrong")
    with closing(EventSink(kafka, problems=problems)) as sink:
        for _ in Retry(60, sleep=sink.producer.poll).attempts():
            if "SASL" in str(problems.newest):
                break
    assert "SASL" in str(problems.newest)


def test_a_topic_that_exists_and_may_not_be_written_to_takes_no_answers(node: ApacheNode) -> None:
    """A request names the topic of its answer. A worker that ended at a refusal would end again after a restart."""
    prefix, theirs, ours = "reply.", "search.results.theirs", "search.results.ours"
    grant(node, KafkaUser.TOPICS, prefix=prefix)
    create_topics(kafka_of(node, KafkaUser.TOPICS, prefix=prefix), all_topics())
    for topic in (theirs, ours):
        node.admin().create_topics([NewTopic(prefix + topic, 1, 1)])[prefix + topic].result()
    more = [
        AccessRight(Resource.TOPIC, prefix + theirs, ("Describe",)),
        AccessRight(Resource.TOPIC, prefix + ours, ("Describe", "Write")),
    ]
    grant(node, KafkaUser.QUERY, [*access_rights(KafkaUser.QUERY, prefix), *more])
    kafka = kafka_of(node, KafkaUser.QUERY, prefix=prefix)
    partitions = PartitionCache(kafka)
    taking = {topic for topic in (SEARCH_RESULTS, ours, theirs) if partitions.is_writable(topic, 0)}
    assert taking == {SEARCH_RESULTS, ours}
    assert partitions.partition_count(theirs) == 1
    assert not partitions.is_writable(ours, 1)
    assert read_answered_ids(kafka, ours, 0) == set(), "it may be written to and not read, which ends nobody either"


def without(*operations: str) -> list[AccessRight]:
    """The rights for topics, less these operations."""
    all_of_them = access_rights(KafkaUser.TOPICS, "part.")
    return [replace(right, operations=tuple(set(right.operations) - set(operations))) for right in all_of_them]
