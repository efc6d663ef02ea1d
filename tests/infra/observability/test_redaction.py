"""Redaction: secrets are masked in any quoting, and other text stays readable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.observability.redaction import Redaction, redact_all, redact_header, redact_known, redaction

ROOT = Path(__file__).parents[3]
SECRET = 'canary "1/2"\n?&'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://cdn.example/a.png?sig=canary&t=1 now", "see https://cdn.example/a.png?*** now"),
        ("https://ana:canary@cdn.example/a.png", "https://***@cdn.example/a.png"),
        ("https://ana:can@ary@cdn.example/a.png", "https://***@cdn.example/a.png"),
        ("redis://:canary@cache:6379/0", "redis://***@cache:6379/0"),
        ("https://cdn.example/#access_token=canary", "https://cdn.example/?***"),
        ("it starts b'https://ana:canar", "it starts b'https://***"),
        ('{"url":"https://cdn.example/a?b=canary","n":1}', '{"url":"https://cdn.example/a?***","n":1}'),
        ("https://social.example/@ana/1", "https://social.example/@ana/1"),
        ("no broker answers at kafka-1:9092", "no broker answers at kafka-1:9092"),
        ("http://[::1]:6333 and http://qdrant:6333/x", "http://[::1]:6333 and http://qdrant:6333/x"),
    ],
)
def test_credentials_and_queries_of_addresses_are_masked_and_nothing_else(text: str, expected: str) -> None:
    assert Redaction()(text) == expected


@pytest.mark.parametrize(
    "spelled", [SECRET, repr(SECRET), '"canary \\"1/2\\"\\n?&"', "canary%20%221%2F2%22%0A%3F%26"]
)
def test_a_known_secret_is_masked_however_it_is_quoted(spelled: str) -> None:
    masked = Redaction([SECRET])(f"before {spelled} after")
    assert "canary" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_a_secret_that_holds_another_is_masked_whole_and_one_too_short_to_be_any_is_not() -> None:
    assert Redaction(["canary", "canary-long", "a"])("a canary-long day") == "a *** day"


def test_the_name_of_an_item_keeps_its_query_and_loses_credentials_and_secrets() -> None:
    name = "default:https://ana:canary@social.example/post?id=1"
    assert Redaction(["canary-secret"]).name(name) == "default:https://***@social.example/post?id=1"
    assert Redaction(["canary-secret"]).name("default:canary-secret") == "default:***"


def test_every_secret_of_the_settings_is_known() -> None:
    settings = Settings(
        kafka=KafkaSettings.model_validate({"sasl_password": "canary-1", "ssl_key_password": "canary-2"}),
        qdrant=QdrantSettings.model_validate({"api_key": "canary-3", "url": "https://me:canary-4@qdrant:6333"}),
        images=ImageSettings.model_validate({"s3_secret": "canary-5"}),
    )
    assert "canary" not in redaction(settings)(" ".join(f"canary-{n}" for n in range(1, 6)))


def test_texts_inside_other_values_are_masked_and_numbers_stay() -> None:
    value = {"n": 1, "t": True, "none": None, "in": [("canary", Path("/canary"))], "odd": KeyError("canary")}
    masked = redact_all(value, Redaction(["canary"]))
    assert isinstance(masked, dict)
    assert "canary" not in repr(masked)
    assert (masked["n"], masked["t"], masked["none"]) == (1, True, None)


def test_headers_whose_names_say_that_they_are_secret_are_masked_whole() -> None:
    assert redact_header("Authorization", "Bearer canary", Redaction()) == "***"
    assert redact_header("x-api-key", "canary", Redaction()) == "***"
    assert redact_header("ce_source", "https://shop.example?k=canary", Redaction()) == "https://shop.example?***"


def test_secrets_are_known_even_where_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_QDRANT_API_KEY", "canary-secret")
    assert redact_known("a canary-secret here") == "a *** here"
    monkeypatch.setenv("LOOKSTREAM_NO_SUCH_SETTING", "1")
    assert redact_known("a canary-secret here") == "a *** here"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print_error('no canary-secret at https://a:canary@b/?canary')", "no *** at https://***@b/?***"),
        ("with report_errors(): raise RuntimeError('canary-secret')", "RuntimeError: ***"),
        (
            "from infra.observability.logging import configure_logs\n"
            "from infra.observability.redaction import redact_known\n"
            "import threading\n"
            "from infra.config.observability import LogSettings; configure_logs(LogSettings(), 'x', redact_known)\n"
            "def run(): raise RuntimeError('canary-secret')\n"
            "threading.Thread(target=run).start()",
            "RuntimeError: ***",
        ),
    ],
)
def test_errors_and_the_traces_of_crashes_are_masked(code: str, printed: str) -> None:
    environment = {**os.environ, "LOOKSTREAM_KAFKA_SASL_PASSWORD": "canary-secret"}
    script = f"from infra.console import print_error, report_errors\nsecret = 1\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert printed in done.stderr
    # A trace shows the line of code that raised, which here holds the word itself.
    assert "canary" not in "\n".join(line for line in done.stderr.splitlines() if "RuntimeError('" not in line)
