"""Settings: errors name the variable, and secrets stay secret."""

import pytest

from infra.config.errors import SettingsError
from infra.config.kafka import KafkaSettings
from infra.config.settings import describe_settings, read_settings
from infra.local_state import LOCAL_FETCH_WAIT_MS, LOCAL_SESSION_MS, local_kafka


@pytest.fixture(autouse=True)
def only_the_tests_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("LOOKSTREAM_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOOKSTREAM_KAFKA_FETCH_WAIT_MS", "soon", "LOOKSTREAM_KAFKA_FETCH_WAIT_MS"),
        ("LOOKSTREAM_QDRANT_GRPC_PORT", "99999999", "LOOKSTREAM_QDRANT_GRPC_PORT"),
        ("LOOKSTREAM_TORCH_DEVICE", "abacus", "LOOKSTREAM_TORCH_DEVICE"),
        ("LOOKSTREAM_IMAGES_ROOTS", "/just/a/path", "JSON"),
        ("LOOKSTREAM_KAFKA_BOOTSTRP", "k:1", "did you mean LOOKSTREAM_KAFKA_BOOTSTRAP?"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert message in str(refused.value)


def test_every_setting_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [s.variable for s in describe_settings(read_settings()) if not s.meaning] == []


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD", "QDRANT_API_KEY", "IMAGES_S3_SECRET"):
        monkeypatch.setenv(f"LOOKSTREAM_{name}", "canary")
    settings = read_settings()
    assert "canary" not in repr(settings)
    assert all("canary" not in setting.value for setting in describe_settings(settings))


def test_the_local_broker_gets_its_own_waits_unless_they_were_set_by_hand() -> None:
    local = local_kafka(KafkaSettings(), "127.0.0.1:9092")
    assert (local.session_timeout_ms, local.fetch_wait_ms) == (LOCAL_SESSION_MS, LOCAL_FETCH_WAIT_MS)
    assert local_kafka(KafkaSettings(fetch_wait_ms=7), "127.0.0.1:9092").fetch_wait_ms == 7
