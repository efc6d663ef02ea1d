"""`lookstream` whose gateway has a bug in its readiness check. Same arguments."""

from collections.abc import Callable
from unittest.mock import patch

from infra.config.settings import Settings
from lookstream.__main__ import main
from producers.gateway import compose


def raise_bug() -> None:
    """Raise an error that a readiness check may not raise."""
    raise KeyError("a mistake of ours")


def failing_check(_settings: Settings) -> Callable[[], None]:
    """The readiness check of the gateway, with the bug."""
    return raise_bug


if __name__ == "__main__":
    with patch.object(compose, "system_check", failing_check):
        main()
