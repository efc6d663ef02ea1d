"""Settings of Kafka: any librdkafka setting passes unless it breaks a guarantee, and secrets are not printed."""

import json
import os

import pytest
from pydantic import ValidationError

from infra.config.errors import SettingsError
from infra.config.kafka import FORBIDDEN_PROPERTIES, PROPERTIES_WITH_SETTING, KafkaSettings
from infra.config.settings import Settings, describe_settings, read_settings
from infra.kafka.client_settings import security_settings
from infra.observability.redaction import redact_known, redaction

OAUTH = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "oauth_endpoint": "https://id.example/token",
    "oauth_client_id": "lookstream",
    "oauth_client_secret": "canary-secret",
    "oauth_scope": "kafka",
    "oauth_extensions": "logicalCluster=lkc-1",
}


@pytest.fixture(autouse=True)
def only_the_tests_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LOOKSTREAM_"):
            monkeypatch.delenv(name)


def refusal(client: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as refused:
        KafkaSettings.model_validate({"client": client})
    return str(refused.value)


def test_any_setting_of_librdkafka_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = {"broker.address.family": "v4", "socket.keepalive.enable": True, "socket.timeout.ms": 1234}
    monkeypatch.setenv("LOOKSTREAM_KAFKA_CLIENT", json.dumps(passed))
    assert passed.items() <= security_settings(read_settings().kafka).items()


@pytest.mark.parametrize("name", FORBIDDEN_PROPERTIES)
def test_a_setting_that_would_break_a_promise_is_refused_with_the_reason(name: str) -> None:
    assert f"`{name}` cannot be passed on: {FORBIDDEN_PROPERTIES[name]}" in refusal({name: "1"})


@pytest.mark.parametrize("name", PROPERTIES_WITH_SETTING)
def test_a_setting_that_has_a_variable_of_its_own_is_sent_there(name: str) -> None:
    variable = f"LOOKSTREAM_KAFKA_{PROPERTIES_WITH_SETTING[name]}"
    assert variable in {setting.variable for setting in describe_settings(Settings())}
    assert f"use {variable}" in refusal({name: "1"})


@pytest.mark.parametrize("name", ["error_cb", "logger", "default.topic.config ", "", "Acks"])
def test_what_is_no_setting_of_librdkafka_is_refused(name: str) -> None:
    assert "is no setting of librdkafka" in refusal({name: "1"})


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"brokr.address.family": "v4"}, "`brokr.address.family`: No such configuration property"),
        ({"broker.address.family": "v7"}, "`broker.address.family`: Invalid value"),
    ],
)
def test_what_librdkafka_does_not_take_is_named(passed: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        security_settings(KafkaSettings.model_validate({"client": passed}))
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["{not json", '["a"]', '{"ssl.key.pem": ["a"]}', '{"acks": "canary"}'])
def test_what_is_wrong_with_the_passed_settings_names_their_variable(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LOOKSTREAM_KAFKA_CLIENT", text)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert "LOOKSTREAM_KAFKA_CLIENT" in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.config",
    ],
)
def test_secrets_among_the_passed_settings_are_masked_wherever_they_are_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(
        "LOOKSTREAM_KAFKA_CLIENT", json.dumps({name: "canary-secret", "broker.address.family": "any"})
    )
    settings = read_settings()
    described = "".join(setting.value for setting in describe_settings(settings))
    assert "any" in described
    for text in (described, repr(settings), redaction(settings)("a canary-secret")):
        assert "canary" not in text
    monkeypatch.setenv("LOOKSTREAM_NO_SUCH_SETTING", "1")
    assert redact_known("a canary-secret") == "a ***"


def test_secrets_of_passed_settings_that_are_not_json_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_KAFKA_CLIENT", "{'ssl.keystore.password': 'canary-secret',}")
    assert redact_known("it says canary-secret") == "it says ***"


def test_openid_client_credentials_are_librdkafkas_own() -> None:
    settings = security_settings(KafkaSettings.model_validate(OAUTH))
    begins = "sasl.oauthbearer."
    assert {name.removeprefix(begins): value for name, value in settings.items() if name.startswith(begins)} == {
        "method": "oidc",
        "token.endpoint.url": "https://id.example/token",
        "client.id": "lookstream",
        "client.secret": "canary-secret",
        "scope": "kafka",
        "extensions": "logicalCluster=lkc-1",
    }


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"security_protocol": "SASL_SSL"}, "LOOKSTREAM_KAFKA_SASL_MECHANISM is missing"),
        ({"sasl_mechanism": "PLAIN"}, "LOOKSTREAM_KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not sign in"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "me"},
            "LOOKSTREAM_KAFKA_SASL_PASSWORD is missing",
        ),
        ({**OAUTH, "oauth_endpoint": None}, "LOOKSTREAM_KAFKA_OAUTH_ENDPOINT is missing"),
        ({**OAUTH, "oauth_client_secret": None}, "LOOKSTREAM_KAFKA_OAUTH_CLIENT_SECRET is missing"),
        ({"security_protocol": "SSL", "ssl_certificate": "me.crt"}, "LOOKSTREAM_KAFKA_SSL_KEY is missing"),
    ],
)
def test_half_a_sign_in_names_the_setting_that_is_missing(given: dict[str, object], missing: str) -> None:
    with pytest.raises(ValidationError) as refused:
        KafkaSettings.model_validate(given)
    assert missing in str(refused.value)


def test_other_grants_of_openid_are_passed_on() -> None:
    grant = {"sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.metadata.authentication.type": "azure_imds"}
    kafka = KafkaSettings.model_validate(
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "client": grant}
    )
    assert grant.items() <= security_settings(kafka).items()


def test_a_client_names_itself_and_its_host_unless_it_has_a_name() -> None:
    assert str(security_settings(KafkaSettings())["client.id"]).startswith("lookstream-")
    assert security_settings(KafkaSettings(client_id="lookstream-query-a-0"))["client.id"] == "lookstream-query-a-0"
