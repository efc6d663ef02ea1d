"""Redaction: mask known secrets, and the parts of URLs that may be secrets, in text for people."""

import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import get_args
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, SecretStr

from infra.config.errors import SettingsError
from infra.config.kafka import SECRET_NAME
from infra.config.settings import Settings, read_settings

MASK = "***"
MIN_SECRET_LENGTH = 4
"""Shorter secrets offer no protection, and masking them would hide ordinary words."""
SECRET_HEADER_NAME = re.compile(
    r"authorization|cookie|token|secret|passw|api[-_]?key|signature|credential", re.IGNORECASE
)
"""Names of headers whose values are secrets of their senders."""

CREDENTIALS = re.compile(r"""(?<=://)[^\s/?#"<>]*@""")
TRUNCATED_CREDENTIALS = re.compile(r"""(?<=://)[^\s/?#"<>:@\[\]]+:(?!\d{1,5}(?!\w))[^\s/?#"<>]+""")
"""A user and the start of a password in text that was cut before the @; digits alone are a port."""
QUERY = re.compile(r"""(://[^\s?#"<>]*)[?#][^\s"<>]+""")
"""Query and fragment of a URL: signed URLs have their signature in the query, and some tokens follow a #."""

TOKEN = re.compile(r'"token"\s*:\s*"([^"]+)')
"""A token in the gateway's list of tokens, even if the list is not valid JSON."""

Redact = Callable[[str], str]


class Redaction:
    """Callable that masks secrets in texts. `secrets` are masked in quoted and URL-encoded form too."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {
            spelling for secret in secrets if len(secret) >= MIN_SECRET_LENGTH for spelling in _spellings(secret)
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spellings else None

    def __call__(self, text: str) -> str:
        """`text` with `***` in place of secrets and of the credentials, query and fragment of each URL."""
        return QUERY.sub(rf"\1?{MASK}", self.name(text))

    def name(self, text: str) -> str:
        """`text` with secrets and URL credentials masked; queries stay, as they distinguish names (item keys)."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return TRUNCATED_CREDENTIALS.sub(MASK, CREDENTIALS.sub(f"{MASK}@", text)) if "://" in text else text


def redaction(settings: Settings) -> Redaction:
    """A redaction of the secrets in these settings."""
    return Redaction(_secrets_of(settings))


def redact_known(text: str) -> str:
    """`text` without the secrets of the settings in the environment, even if those settings are invalid."""
    try:
        return redaction(read_settings())(text)
    except SettingsError:
        return Redaction(_secrets_in(os.environ))(text)


def redact_all(value: object, redact: Redact) -> object:
    """`value` with all texts in it redacted; other objects are converted by repr first."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): redact_all(inner, redact) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(inner, redact) for inner in value]
    return redact(value if isinstance(value, str) else repr(value))


def redact_header(name: str, value: str, redact: Redact) -> str:
    """A redacted header value; masked entirely if the header's name indicates a secret."""
    return MASK if SECRET_HEADER_NAME.search(name) else redact(value)


def guard_crash(redact: Redact) -> None:
    """Redact the trace of an uncaught exception from now on."""

    def write(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = write


def guard_threads(redact: Redact) -> None:
    """Redact the trace of an uncaught exception in a thread from now on."""

    def write(arguments: threading.ExceptHookArgs) -> None:
        lines = traceback.format_exception(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        if arguments.exc_type is not SystemExit:
            sys.stderr.write(redact("".join(lines)))

    threading.excepthook = write


def _secrets_of(group: BaseModel) -> Iterator[str]:
    """The values of SecretStr fields, including those in mappings and lists, and the passwords in URLs."""
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            yield from _secrets_of(value)
        for element in (
            value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
        ):
            if isinstance(element, BaseModel) and element is not value:
                yield from _secrets_of(element)
            elif isinstance(element, SecretStr):
                yield element.get_secret_value()
            elif isinstance(element, str) and "://" in element:
                yield urlsplit(element).password or ""


def _secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """The secrets in the environment variables, for settings that are invalid."""
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, field in group.model_fields.items():
                if SecretStr in (field.annotation, *get_args(field.annotation)):
                    yield environment.get(f"LOOKSTREAM_{name}_{inner}".upper(), "")
    yield from _secrets_in_json(environment.get("LOOKSTREAM_KAFKA_CLIENT", ""))
    yield from TOKEN.findall(environment.get("LOOKSTREAM_GATEWAY_TOKENS", ""))


def _secrets_in_json(text: str) -> Iterator[str]:
    """The secrets among the librdkafka properties; all values if the text is not JSON."""
    try:
        properties = json.loads(text)
    except ValueError:
        yield from re.findall(r"""[:=]\s*["']?([^"',}]+)""", text)
        return
    for name, value in properties.items() if isinstance(properties, dict) else ():
        if SECRET_NAME.search(name):
            yield str(value)


def _spellings(secret: str) -> set[str]:
    """The forms of a secret in text: plain, URL-encoded, in JSON, and in a Python literal."""
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
