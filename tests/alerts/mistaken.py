"""`lookstream` whose gateway makes a mistake whenever it is asked whether it is ready; takes its words."""

from collections.abc import Callable
from unittest.mock import patch

from infra.config.settings import Settings
from lookstream.__main__ import main
from producers.gateway import compose


def mistake() -> None:
    """Not what a check may raise."""
    raise KeyError("a mistake of ours")


def mistaken_check(_settings: Settings) -> Callable[[], None]:
    """What the gateway asks whether it is ready."""
    return mistake


if __name__ == "__main__":
    with patch.object(compose, "system_check", mistaken_check):
        main()
