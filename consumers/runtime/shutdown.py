"""Shutdown: what signals ask of a worker."""

from dataclasses import dataclass, field


@dataclass
class ShutdownSignal:
    """Flags that signals set and that the loop looks at."""

    now: bool = False
    when_idle: bool = False
    followers: list["ShutdownSignal"] = field(default_factory=list)
    """Whoever must stop at once too."""

    def at_once(self) -> None:
        """Stop after the batch in progress."""
        self.now = True
        for follower in self.followers:
            follower.at_once()
