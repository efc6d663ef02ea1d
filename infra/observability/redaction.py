"""Redaction: known secrets, and whatever in an address may be one, are masked in text for people."""

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

from infra.config.kafka import SECRET_NAME
from infra.config.settings import Settings, SettingsError, read_settings

MASK = "***"
SHORTEST = 4
"""A shorter secret guards nothing, and masking it would blank out ordinary words."""
OWN_WORDS = re.compile(r"authorization|cookie|token|secret|passw|api[-_]?key|signature|credential", re.IGNORECASE)
"""Names of headers whose values are secrets of those who sent them."""

CREDENTIALS = re.compile(r"""(?<=://)[^\s/?#"<>]*@""")
CUT_OFF = re.compile(r"""(?<=://)[^\s/?#"<>:@\[\]]+:(?!\d{1,5}(?!\w))[^\s/?#"<>]+""")
"""A user and the beginning of a password, where a text ends before the @; a port is digits alone."""
QUERY = re.compile(r"""(://[^\s?#"<>]*)[?#][^\s"<>]+""")
"""Signed addresses carry their signature in the query, and some tokens come after a #."""

TOKEN = re.compile(r'"token"\s*:\s*"([^"]+)')
"""A token in the gateway's list of them, whether or not that is JSON."""

Redact = Callable[[str], str]


class Redaction:
    """Masks texts: call it. `secrets` are values that must never be seen, however they are quoted."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret)}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spellings else None

    def __call__(self, text: str) -> str:
        """`text` with `***` for secrets, and for the credentials, query and fragment of every address in it."""
        return QUERY.sub(rf"\1?{MASK}", self.name(text))

    def name(self, text: str) -> str:
        """The same for the name of something, as an item's key: queries stay, for they tell one from the other."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return CUT_OFF.sub(MASK, CREDENTIALS.sub(f"{MASK}@", text)) if "://" in text else text


def redaction(settings: Settings) -> Redaction:
    """What masks the secrets of these settings."""
    return Redaction(_secrets_of(settings))


def redact_known(text: str) -> str:
    """`text` without the secrets of the environment's settings, whether or not those make sense."""
    try:
        return redaction(read_settings())(text)
    except SettingsError:
        return Redaction(_secrets_in(os.environ))(text)


def redact_all(value: object, redact: Redact) -> object:
    """`value` with every text in it redacted; what is no plain value is written out first."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): redact_all(inner, redact) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(inner, redact) for inner in value]
    return redact(value if isinstance(value, str) else repr(value))


def redact_header(name: str, value: str, redact: Redact) -> str:
    """A header's value for people: redacted, and masked whole when its name says that it is a secret."""
    return MASK if OWN_WORDS.search(name) else redact(value)


def guard_crash(redact: Redact) -> None:
    """From now on the trace of whatever ends this process is redacted."""

    def write(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = write


def guard_threads(redact: Redact) -> None:
    """The same for the trace of whatever ends a thread."""

    def write(told: threading.ExceptHookArgs) -> None:
        lines = traceback.format_exception(told.exc_type, told.exc_value, told.exc_traceback)
        if told.exc_type is not SystemExit:
            sys.stderr.write(redact("".join(lines)))

    threading.excepthook = write


def _secrets_of(group: BaseModel) -> Iterator[str]:
    """The values of SecretStr fields, also of those in a mapping or a list, and the passwords in addresses."""
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            yield from _secrets_of(value)
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,):
            if isinstance(one, BaseModel) and one is not value:
                yield from _secrets_of(one)
            elif isinstance(one, SecretStr):
                yield one.get_secret_value()
            elif isinstance(one, str) and "://" in one:
                yield urlsplit(one).password or ""


def _secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """The same from the environment itself, for when the settings in it are refused."""
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, field in group.model_fields.items():
                if SecretStr in (field.annotation, *get_args(field.annotation)):
                    yield environment.get(f"LOOKSTREAM_{name}_{inner}".upper(), "")
    yield from _secrets_in_json(environment.get("LOOKSTREAM_KAFKA_CLIENT", ""))
    yield from TOKEN.findall(environment.get("LOOKSTREAM_GATEWAY_TOKENS", ""))


def _secrets_in_json(text: str) -> Iterator[str]:
    """The secrets among librdkafka's settings; every value when they are not JSON."""
    try:
        passed = json.loads(text)
    except ValueError:
        yield from re.findall(r"""[:=]\s*["']?([^"',}]+)""", text)
        return
    for name, value in passed.items() if isinstance(passed, dict) else ():
        if SECRET_NAME.search(name):
            yield str(value)


def _spellings(secret: str) -> set[str]:
    """A secret as it may stand in a text: plain, in an address, in JSON, or in a Python literal."""
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
