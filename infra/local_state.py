"""What runs on a data folder: the note that `lookstream up` leaves for other commands."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.config.settings import KafkaSettings, Settings
from infra.retry import Retry
from schemas.failures import Unavailable

LOCAL_SESSION_MS = 6_000
LOCAL_FETCH_WAIT_MS = 25
"""What the local broker wants (DECISIONS.md): it lets a member join after half a session timeout, and looks through
all batches of a partition for each fetch, until the wait is over: then it answers with what it has by then."""

PRIVATE = ("up.*", "run", "index*", "generations.json", "*.jsonl", "*.sqlite", "reindex.lock", "watched", "demo")
"""What lookstream itself makes in a data folder, which may be a folder that holds other things too."""


class AlreadyRunning(Exception):
    """Another `lookstream up` runs on the same data folder."""


@dataclass(frozen=True)
class LocalState:
    """Where the parts of a running `lookstream up` are reached."""

    pid: int
    bootstrap: str | None
    """host:port of the local broker; None when Kafka is the user's own."""
    index: Path | None
    """The socket of the embedded index that serves; None when Qdrant is the user's own."""
    ready: bool = False
    page: str | None = None
    """Address of the page, where a gateway runs."""
    metrics: Mapping[str, int] = field(default_factory=dict)
    """Ports of this machine at which workers tell their metrics, by their job."""
    indexes: Mapping[int, Path] = field(default_factory=dict)
    """The socket of the embedded index of each generation."""
    generations: tuple[int, ...] = ()
    """Those that have an index worker here."""

    def write(self, folder: Path) -> None:
        """Leave the note, whole or not at all."""
        draft = folder / "up.json.new"
        draft.write_text(json.dumps(asdict(self), default=str))
        draft.replace(folder / "up.json")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the data folder; raises AlreadyRunning when another `lookstream up` has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"`lookstream up` runs on {folder} already: stop it, or name another folder in LOOKSTREAM_DATA"
            ) from None
        try:
            yield
        finally:
            running = read_local_state(folder)
            if running is None or running.pid == os.getpid():  # where the lock was removed, another one may run
                (folder / "up.json").unlink(missing_ok=True)


def keep_private(folder: Path) -> None:
    """From now on what this process and its children make is this user's alone, and so is what is there already."""
    os.umask(0o077)
    (folder / "index.key").unlink(missing_ok=True)  # of older versions; nothing asks for it any more
    for pattern in PRIVATE:
        for path in folder.glob(pattern):
            if not path.is_symlink() and path.stat().st_uid == os.geteuid():
                path.chmod(0o700 if path.is_dir() else 0o600)


def read_local_state(folder: Path) -> LocalState | None:
    """The note of the `lookstream up` that runs on this folder, if one does."""
    try:
        found = json.loads((folder / "up.json").read_text())
        running = LocalState(
            pid=found["pid"],
            bootstrap=found["bootstrap"],
            index=Path(found["index"]) if found["index"] else None,
            ready=found["ready"],
            page=found["page"],
            metrics=found["metrics"],
            indexes={int(number): Path(socket) for number, socket in found["indexes"].items()},
            generations=tuple(found["generations"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None  # it is not there, or another version of lookstream wrote it
    return running if process_runs(running.pid) else None


def wait_until_ready(settings: Settings, seconds: float) -> LocalState:
    """Wait for `lookstream up` to be ready; raises Unavailable when it is not in time."""
    for _ in Retry(seconds, longest=0.1).attempts():
        running = read_local_state(settings.data)
        if running is not None and running.ready:
            return running
    raise Unavailable(f"`lookstream up` was not ready within {seconds:.0f} s: see its messages")


def reach_kafka(settings: Settings) -> KafkaSettings:
    """How to reach Kafka: the user's own, else the local broker; raises Unavailable when neither is there."""
    if settings.kafka.bootstrap:
        return settings.kafka
    running = read_local_state(settings.data)
    if running is None or running.bootstrap is None:
        raise Unavailable(
            f"nothing runs on {settings.data}: start `lookstream up` in another terminal, "
            "or set LOOKSTREAM_KAFKA_BOOTSTRAP to your brokers"
        )
    return local_kafka(settings.kafka, running.bootstrap)


def local_kafka(kafka: KafkaSettings, bootstrap: str) -> KafkaSettings:
    """These settings for the local broker, but for what the user set by hand.

    Its members are dynamic: beside a second static one the first was given nothing any more (Tansu 0.6.0).
    """
    local: dict[str, object] = {
        "session_timeout_ms": LOCAL_SESSION_MS,
        "fetch_wait_ms": LOCAL_FETCH_WAIT_MS,
        "membership": "dynamic",
    }
    changes = {name: value for name, value in local.items() if name not in kafka.model_fields_set}
    return kafka.model_copy(update=changes | {"bootstrap": bootstrap})


def reach_index(settings: Settings, generation: int | None = None) -> Path:
    """The socket of the embedded index of a generation, or of that which serves.

    Raises Unavailable when it does not run: another generation's never stands in for it.
    """
    running = read_local_state(settings.data)
    if running is not None and running.index is not None and generation is not None:
        if generation not in running.indexes:
            raise Unavailable(f"index {generation} does not run on {settings.data}: it starts, or it was dropped")
        return running.indexes[generation]
    if running is None or running.index is None:
        raise Unavailable(
            f"no embedded index runs on {settings.data}: start `lookstream up`, or set LOOKSTREAM_QDRANT_URL"
        )
    return running.index


def page_address(settings: Settings) -> str:
    """Address of the page; raises Unavailable when no `lookstream up` on the data folder has one."""
    running = read_local_state(settings.data)
    if running is None or running.page is None:
        raise Unavailable(f"no page runs on {settings.data}: start `lookstream up`, and wait until it is up")
    return running.page


def process_runs(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
