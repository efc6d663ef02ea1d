"""Rendering: formats dead letters as JSON values, as tables, or one in full, with secrets masked."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table

from consumers.operations.dead_letters.dead_letter import DeadLetter
from consumers.operations.dead_letters.stats import DeadLetterStats
from infra.console import printable
from infra.observability.redaction import Redaction, redact_all, redact_header
from schemas.audit import DeadLetterReplayed

MAX_VALUE_BYTES = 2_000
"""Maximum length of the output of a value that is not JSON."""
MAX_DATA_CHARACTERS = 24
"""Maximum output of the base64 data of a picture."""

ReplayedById = Mapping[str, DeadLetterReplayed]
"""The last audit event of each replayed letter, by the id of the letter."""


def letter_fields(letter: DeadLetter, replayed: ReplayedById, redact: Redaction) -> dict[str, object]:
    """The fields of a letter as JSON values; times are ISO, sizes are in bytes."""
    replay = replayed.get(letter.id)
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
        "replayed_at": replay.replayed_at.isoformat() if replay else None,
        "replay_id": replay.replay_id if replay else None,
    }


def letters_table(letters: Sequence[DeadLetter], replayed: ReplayedById, redact: Redaction) -> Table:
    """Table of one letter per row; a letter that shares its position with another is named by its id."""
    positions = Counter(letter.position for letter in letters)
    unwrapped = (Column(heading, no_wrap=True) for heading in ("record", "refused (UTC)", "code"))
    table = Table(*unwrapped, "key", "tries", "replayed", "why")
    for letter in letters:
        name = letter.id if positions[letter.position] > 1 else letter.position
        replayed_mark = "yes" if letter.id in replayed else ""
        key, reason = redact.name(letter.key_text or ""), redact(letter.message)
        row = name, _format_minute(letter.died_at), letter.code, key, str(letter.attempts), replayed_mark, reason
        table.add_row(*map(printable, row))
    return table


def print_letter(letter: DeadLetter, replayed: ReplayedById, redact: Redaction, console: Console) -> None:
    """Print one letter in full: its fields, its headers and its event."""
    grid = Table.grid(padding=(0, 2))
    for name, value in letter_fields(letter, replayed, redact).items():
        grid.add_row(name, printable("" if value is None else str(value)))
    for name, header in letter.headers.items():
        text = "" if header is None else header.decode("utf-8", "replace")
        grid.add_row(printable(f"header {name}"), printable(redact_header(name, text, redact)))
    console.print(grid)
    console.print()
    console.print(format_event(letter.value, redact), soft_wrap=True)


def format_event(value: bytes | None, redact: Redaction) -> str:
    """Format a value as indented JSON with the data of its pictures shortened, or as text if it is not JSON."""
    if value is None:
        return "no value: this deletes the item of its key"
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        start = redact(value[:MAX_VALUE_BYTES].decode("utf-8", "replace"))
        more = f"... ({len(value):,} bytes)" if len(value) > MAX_VALUE_BYTES else ""
        return "\n".join(map(printable, start.splitlines())) + more
    return json.dumps(redact_all(_shorten(event), redact), indent=2, ensure_ascii=True)


def stats_tables(stats: DeadLetterStats, redact: Redaction) -> list[Table]:
    """Tables of the counts: codes with their most frequent message, then topics, hours and workers."""
    codes = Table("code", "letters", "most frequent message", title=f"{stats.letters:,} dead letters")
    for code, count in stats.codes.most_common():
        codes.add_row(*map(printable, (code, f"{count:,}", redact(stats.messages[code]))))
    tables = [codes]
    hours = sorted(stats.hours.items())
    for heading, rows in (
        ("topic", stats.topics.most_common()),
        ("hour", hours),
        ("worker", stats.workers.most_common()),
    ):
        tables.append(Table(heading, "letters"))
        for name, count in rows:
            tables[-1].add_row(printable(name), f"{count:,}")
    return tables


def _shorten(value: object) -> object:
    if isinstance(value, list):
        return [_shorten(child) for child in value]
    if isinstance(value, dict):
        return {name: _shorten_data(child) if name == "data" else _shorten(child) for name, child in value.items()}
    return value


def _shorten_data(value: object) -> object:
    if not isinstance(value, str) or len(value) <= MAX_DATA_CHARACTERS:
        return _shorten(value)
    return f"{value[:MAX_DATA_CHARACTERS]}... ({len(value):,} characters)"


def _format_minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
