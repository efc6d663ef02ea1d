"""OAUTHBEARER on Apache Kafka: tokens of an OpenID provider, renewed before they end; clear errors."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, TopicReader, check_broker, create_topics
from schemas.failures import Unavailable
from schemas.topics import ITEM_OUTCOMES, all_topics
from tests.infra.kafka.identity_provider import Provider, identity_provider
from tests.kafka.apache import ApacheNode, apache_node, wait_for

CLIENT, SECRET = "lookstream", "canary-secret"
RECORD = OutgoingRecord(ITEM_OUTCOMES, b"k", b"v")
HANDLER = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
LOGIN = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ;"


@pytest.fixture(scope="module")
def provider(kafka_server: str | None) -> Iterator[Provider]:
    """The provider of tokens."""
    if kafka_server is None:
        pytest.skip("OAUTHBEARER is Apache Kafka's: `make conformance` runs this")
    with identity_provider({CLIENT: SECRET}) as provider:
        yield provider


@pytest.fixture(scope="module")
def node(provider: Provider) -> Iterator[ApacheNode]:
    """A node that accepts tokens of that provider."""
    listener = "listener.name.clients.oauthbearer.sasl"
    settings = {
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{listener}.jaas.config": LOGIN,
        f"{listener}.server.callback.handler.class": HANDLER,
        f"{listener}.oauthbearer.jwks.endpoint.url": provider.keys_endpoint,
        f"{listener}.oauthbearer.expected.audience": "kafka",
        f"{listener}.oauthbearer.expected.issuer": provider.issuer,
        f"{listener}.connections.max.reauth.ms": "3600000",
    }
    with pytest.MonkeyPatch.context() as patch:
        # Kafka asks no address for keys that its operator has not listed.
        listed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.keys_endpoint}"
        patch.setenv("JAVA_TOOL_OPTIONS", listed)
        with apache_node(settings=settings) as node:
            yield node


@pytest.fixture
def kafka(node: ApacheNode, provider: Provider) -> KafkaSettings:
    """How a client with a right secret reaches the node."""
    return KafkaSettings(
        bootstrap=node.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        oauth_endpoint=provider.token_endpoint,
        oauth_client_id=CLIENT,
        oauth_client_secret=SecretStr(SECRET),
        oauth_scope="kafka",
        session_timeout_ms=6_000,
    )


def refusal(kafka: KafkaSettings) -> str:
    with pytest.raises(Unavailable) as refused:
        check_broker(kafka)
    assert SECRET not in str(refused.value)
    return str(refused.value)


def test_a_client_with_a_token_creates_topics_sends_and_reads(kafka: KafkaSettings) -> None:
    create_topics(kafka, all_topics())
    with closing(TopicReader(kafka, ITEM_OUTCOMES)) as reader, closing(EventSink(kafka)) as sink:
        sink.send_record(RECORD)
        sink.flush()
        assert [record.value for record in [reader.poll(30)] if record] == [b"v"]


def test_a_token_is_renewed_before_it_ends(
    kafka: KafkaSettings, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "seconds", 5)
    create_topics(kafka, all_topics())
    with closing(EventSink(kafka)) as sink:
        sink.send_record(RECORD)
        sink.flush()
        first = provider.granted
        wait_for(lambda: provider.granted >= first + 2, "two more tokens", 60)
        sink.send_record(RECORD)
        sink.flush()


def test_a_wrong_secret_is_reported_as_such(kafka: KafkaSettings) -> None:
    message = refusal(kafka.model_copy(update={"oauth_client_secret": SecretStr("canary-other")}))
    assert "the token endpoint gives no token for Kafka" in message
    assert "no such client, or secret" in message, "what the provider says is passed on"
    assert "LOOKSTREAM_KAFKA_OAUTH_CLIENT_SECRET" in message
    assert "canary-other" not in message


def test_a_missing_token_endpoint_is_reported_as_such(kafka: KafkaSettings) -> None:
    message = refusal(kafka.model_copy(update={"oauth_endpoint": "http://127.0.0.1:1/token"}))
    assert "the token endpoint gives no token for Kafka" in message
    assert "LOOKSTREAM_KAFKA_OAUTH_ENDPOINT" in message


def test_a_token_that_the_brokers_do_not_accept_is_reported_as_such(
    kafka: KafkaSettings, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "forges", True)
    assert "refuses the token" in refusal(kafka)
