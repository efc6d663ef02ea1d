"""The rules with their times divided, so that nobody waits ten minutes to see whether an alert fires."""

import re

DIVISOR = 20
"""Two minutes become six seconds, in which Prometheus reads each part six times."""
MINUTES = re.compile(r"(\[|for: )(\d+)m\b")


def quickened(rules: str) -> str:
    """These rules of Prometheus, with windows and waits a twentieth as long; their limits stay."""
    return MINUTES.sub(lambda found: f"{found[1]}{int(found[2]) * 60 // DIVISOR}s", rules)
