"""Shutdown: flags by which a signal handler stops the loops of a worker."""

from dataclasses import dataclass, field


@dataclass
class ShutdownSignal:
    """Stop requests, set by signal handlers and read by the loop."""

    now: bool = False
    """Stop after the batch in progress."""
    when_idle: bool = False
    """Stop once no more records come."""
    children: list["ShutdownSignal"] = field(default_factory=list)
    """Signals that `stop_now` sets too."""

    def stop_when_idle(self) -> None:
        """Request a stop once no more records come."""
        self.when_idle = True

    def stop_now(self) -> None:
        """Request a stop after the batch in progress, here and for all `children`."""
        self.now = True
        for child in self.children:
            child.stop_now()
