"""Dead letters for people and programs: a line, a table, or one letter in full; secrets are masked."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from consumers.operations.dead_letters.dead_letter import DeadLetter
from consumers.operations.dead_letters.stats import DeadLetterStats
from infra.console import printable
from infra.observability.redaction import Redaction, redact_all, redact_header
from schemas.audit import DeadLetterReplayed

SHOWN_BYTES = 2_000
"""So much is shown of a value that is not JSON."""
SHOWN_DATA = 24
"""So many characters are shown of the data of a picture."""

Replayed = Mapping[str, DeadLetterReplayed]
"""The last note on each letter that was replayed, by the letter's id."""


def facts(letter: DeadLetter, replayed: Replayed, redact: Redaction) -> dict[str, object]:
    """What there is to say of a letter, as JSON values; times are ISO, sizes are bytes."""
    note = replayed.get(letter.id)
    return {
        "position": letter.position,
        "id": letter.id,
        "code": letter.code,
        "class": letter.reason,
        "message": redact(letter.message),
        "key": None if letter.key_text is None else redact.name(letter.key_text),
        "attempts": letter.attempts,
        "first_failed_at": letter.first_failed_at or None,
        "died_at": letter.died_at.isoformat(),
        "worker": letter.worker,
        "encoder": letter.encoder,
        "bytes": letter.size,
        "replayed_at": note.replayed_at.isoformat() if note else None,
        "replay_id": note.replay_id if note else None,
    }


def table_of(letters: Sequence[DeadLetter], replayed: Replayed, redact: Redaction) -> Table:
    """The letters, one a row; a letter that shares its position with another has its id instead."""
    positions = Counter(letter.position for letter in letters)
    table = Table("record", "refused (UTC)", "code", "key", "tries", "replayed", "why")
    for letter in letters:
        name = letter.id if positions[letter.position] > 1 else letter.position
        done = "yes" if letter.id in replayed else ""
        key, why = redact.name(letter.key_text or ""), redact(letter.message)
        cells = name, _minute(letter.died_at), letter.code, key, str(letter.attempts), done, why
        table.add_row(*map(printable, cells))
    for column in table.columns[:3]:
        column.no_wrap = True
    return table


def print_letter(letter: DeadLetter, replayed: Replayed, redact: Redaction, console: Console) -> None:
    """One letter in full: what is known of it, its headers, and its event."""
    about = Table.grid(padding=(0, 2))
    for name, value in facts(letter, replayed, redact).items():
        about.add_row(name, printable("" if value is None else str(value)))
    for name, header in letter.headers.items():
        text = "" if header is None else header.decode("utf-8", "replace")
        about.add_row(printable(f"header {name}"), printable(redact_header(name, text, redact)))
    console.print(about)
    console.print()
    console.print(event_text(letter.value, redact), soft_wrap=True)


def event_text(value: bytes | None, redact: Redaction) -> str:
    """The event of a value, indented, with the data of its pictures cut short; or the value as it is."""
    if value is None:
        return "no value: this deletes the item of its key"
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        start = redact(value[:SHOWN_BYTES].decode("utf-8", "replace"))
        more = f"... ({len(value):,} bytes)" if len(value) > SHOWN_BYTES else ""
        return "\n".join(map(printable, start.splitlines())) + more
    return json.dumps(redact_all(_shortened(event), redact), indent=2, ensure_ascii=True)


def tables_of(stats: DeadLetterStats, redact: Redaction) -> list[Table]:
    """The figures as tables: codes with what most of them say, then topics, hours and workers."""
    codes = Table("code", "letters", "what most of them say", title=f"{stats.letters:,} dead letters")
    for code, count in stats.codes.most_common():
        codes.add_row(*map(printable, (code, f"{count:,}", redact(stats.messages[code]))))
    tables = [codes]
    hours = sorted(stats.hours.items())
    for what, rows in (
        ("topic", stats.topics.most_common()),
        ("hour", hours),
        ("worker", stats.workers.most_common()),
    ):
        tables.append(Table(what, "letters"))
        for name, count in rows:
            tables[-1].add_row(printable(name), f"{count:,}")
    return tables


def _shortened(value: object) -> object:
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _data(inner) if name == "data" else _shortened(inner) for name, inner in value.items()}
    return value


def _data(value: object) -> object:
    if not isinstance(value, str) or len(value) <= SHOWN_DATA:
        return _shortened(value)
    return f"{value[:SHOWN_DATA]}... ({len(value):,} characters)"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
