"""Unhandled errors in logs: traces, and raw exceptions of the Kafka client."""

from collections import Counter
from pathlib import Path

RAW = ("Traceback (most recent call last)", "KafkaException", "KafkaError{")


def count_raw_errors(folder: Path) -> int:
    """How many lines of the logs of our processes hold a raw error."""
    return sum(_raw_lines(folder).values())


def first_raw_errors(folder: Path, most: int = 3) -> str:
    """The first of these logs, each with its number of lines; for people."""
    return ", ".join(f"{name}: {count}" for name, count in _raw_lines(folder).most_common(most))


def _raw_lines(folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("*.log")):
        with path.open(errors="replace") as lines:
            found[path.name] = sum(any(word in line for word in RAW) for line in lines)
    return +found
