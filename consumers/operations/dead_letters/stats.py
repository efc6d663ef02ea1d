"""Dead-letter statistics: counts dead letters by code, topic, hour and worker."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from consumers.operations.dead_letters.dead_letter import DeadLetter

VARIABLE_TEXT = re.compile(r"`[^`]*`|'[^']*'|\S*(?:\d|://)\S*")
"""Parts that differ between messages of the same kind: names, numbers, addresses."""


@dataclass
class DeadLetterStats:
    """Counts of dead letters, and the most frequent message of each code."""

    letters: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)
    """By the hour of the rejection, as 2026-07-01T10:00Z."""
    workers: Counter[str] = field(default_factory=Counter)
    messages: dict[str, str] = field(default_factory=dict)
    """For each code, the first message of its most frequent kind; a kind varies only in names and numbers."""

    def add(self, letter: DeadLetter) -> None:
        """Count a letter."""
        self.letters += 1
        self.codes[letter.code] += 1
        self.topics[letter.topic] += 1
        self.hours[letter.died_at.astimezone(UTC).strftime("%Y-%m-%dT%H:00Z")] += 1
        self.workers[letter.worker or "unknown"] += 1

    def to_json(self) -> dict[str, object]:
        """The counts as JSON values, the most frequent first, but hours in chronological order."""
        counts: Mapping[str, object] = {
            "by_code": dict(self.codes.most_common()),
            "by_topic": dict(self.topics.most_common()),
            "by_hour": dict(sorted(self.hours.items())),
            "by_worker": dict(self.workers.most_common()),
        }
        return {"letters": self.letters, **counts, "most_frequent_message": self.messages}


def count_letters(letters: Iterable[DeadLetter]) -> DeadLetterStats:
    """Count letters. Pass each letter once: duplicates are not removed."""
    stats, kinds = DeadLetterStats(), dict[str, Counter[str]]()
    first_messages: dict[tuple[str, str], str] = {}
    for letter in letters:
        stats.add(letter)
        kind = VARIABLE_TEXT.sub("_", letter.message)
        kinds.setdefault(letter.code, Counter())[kind] += 1
        first_messages.setdefault((letter.code, kind), letter.message)
    stats.messages.update({code: first_messages[code, kind.most_common(1)[0][0]] for code, kind in kinds.items()})
    return stats
