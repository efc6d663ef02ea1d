"""Counting dead letters: by code, topic, hour and worker."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from consumers.operations.dead_letters.dead_letter import DeadLetter

CHANGING = re.compile(r"`[^`]*`|'[^']*'|\S*(?:\d|://)\S*")
"""What differs between messages that say the same: names, numbers, addresses."""


@dataclass
class DeadLetterStats:
    """How many letters there are of each kind, and what most of each code say."""

    letters: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)
    """By the hour in which they were refused, as 2026-07-01T10:00Z."""
    workers: Counter[str] = field(default_factory=Counter)
    messages: dict[str, str] = field(default_factory=dict)
    """For each code the first of the messages that differ only in names and numbers, where those are most."""

    def to_json(self) -> dict[str, object]:
        """The figures as JSON values, the most frequent first; hours in their order."""
        counts: Mapping[str, object] = {
            "by_code": dict(self.codes.most_common()),
            "by_topic": dict(self.topics.most_common()),
            "by_hour": dict(sorted(self.hours.items())),
            "by_worker": dict(self.workers.most_common()),
        }
        return {"letters": self.letters, **counts, "most_frequent_message": self.messages}


def count(letters: Iterable[DeadLetter]) -> DeadLetterStats:
    """The figures of letters, each of which is counted once however often it is given."""
    stats, kinds = DeadLetterStats(), dict[str, Counter[str]]()
    first: dict[tuple[str, str], str] = {}
    for letter in letters:
        stats.letters += 1
        stats.codes[letter.code] += 1
        stats.topics[letter.topic] += 1
        stats.hours[letter.died_at.astimezone(UTC).strftime("%Y-%m-%dT%H:00Z")] += 1
        stats.workers[letter.worker or "unknown"] += 1
        kind = CHANGING.sub("_", letter.message)
        kinds.setdefault(letter.code, Counter())[kind] += 1
        first.setdefault((letter.code, kind), letter.message)
    stats.messages = {code: first[code, kind.most_common(1)[0][0]] for code, kind in kinds.items()}
    return stats
