"""Local state: the file in the data folder by which `lookstream up` tells other commands what runs and where."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.retry import Retry
from schemas.failures import Unavailable

LOCAL_SESSION_MS = 4_000
LOCAL_FETCH_WAIT_MS = 25
"""Settings for the local broker (DECISIONS.md): it admits a new member after half a session timeout, and for each
fetch it scans all batches of a partition until the fetch wait ends, then returns what it has found."""

PRIVATE = (
    "up.*", "run", "index*", "generations.json", "*.jsonl", "*.sqlite", "reindex.lock", "watched", "pictures",
    "demo",
)  # fmt: skip
"""Files and folders that lookstream creates in a data folder, which may contain other files too."""


DEAD_LETTERS_FILE = "dead-letters.jsonl"
"""Name of the file in the data folder that holds the dead letters of earlier local runs."""


class AlreadyRunning(Exception):
    """Another `lookstream up` uses the same data folder."""


@dataclass(frozen=True)
class LocalState:
    """Addresses of the parts of a running `lookstream up`."""

    pid: int
    bootstrap: str | None
    """host:port of the local broker; None if the user has configured Kafka."""
    index: Path | None
    """Socket of the serving embedded index; None if the user has configured Qdrant."""
    ready: bool = False
    page: str | None = None
    """Address of the page; None if no gateway runs."""
    metrics: Mapping[str, int] = field(default_factory=dict)
    """Local ports of the workers' metrics, by job."""
    indexes: Mapping[int, Path] = field(default_factory=dict)
    """Socket of the embedded index of each generation."""
    generations: tuple[int, ...] = ()
    """Generations that have an index worker here."""

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        temporary = folder / "up.json.new"
        temporary.write_text(json.dumps(asdict(self), default=str))
        temporary.replace(folder / "up.json")


@contextmanager
def lock_data_folder(folder: Path) -> Iterator[None]:
    """Lock the data folder; raises AlreadyRunning if another `lookstream up` holds the lock."""
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
            state = read_local_state(folder)
            if state is None or state.pid == os.getpid():  # if the lock file was removed, another one may run
                (folder / "up.json").unlink(missing_ok=True)


def restrict_permissions(folder: Path) -> None:
    """Restrict new files of this process and its children, and existing files of lookstream, to this user."""
    os.umask(0o077)
    (folder / "index.key").unlink(missing_ok=True)  # from older versions; no longer used
    for pattern in PRIVATE:
        for path in folder.glob(pattern):
            if not path.is_symlink() and path.stat().st_uid == os.geteuid():
                path.chmod(0o700 if path.is_dir() else 0o600)


def read_local_state(folder: Path) -> LocalState | None:
    """The state of the `lookstream up` that runs on this folder; None if none runs."""
    try:
        fields = json.loads((folder / "up.json").read_text())
        state = LocalState(
            pid=fields["pid"],
            bootstrap=fields["bootstrap"],
            index=Path(fields["index"]) if fields["index"] else None,
            ready=fields["ready"],
            page=fields["page"],
            metrics=fields["metrics"],
            indexes={int(number): Path(socket) for number, socket in fields["indexes"].items()},
            generations=tuple(fields["generations"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None  # the file is missing, or another version of lookstream wrote it
    return state if is_process_running(state.pid) else None


def wait_until_ready(settings: Settings, seconds: float) -> LocalState:
    """Wait until `lookstream up` is ready; raises Unavailable after `seconds`."""
    for _ in Retry(seconds, max_pause=0.1).attempts():
        state = read_local_state(settings.data)
        if state is not None and state.ready:
            return state
    raise Unavailable(f"`lookstream up` was not ready within {seconds:.0f} s: see its messages")


def resolve_kafka_settings(settings: Settings) -> KafkaSettings:
    """The Kafka settings of the user, else of the local broker; raises Unavailable if there is neither."""
    if settings.kafka.bootstrap:
        return settings.kafka
    state = read_local_state(settings.data)
    if state is None or state.bootstrap is None:
        raise Unavailable(
            f"nothing runs on {settings.data}: start `lookstream up` in another terminal, "
            "or set LOOKSTREAM_KAFKA_BOOTSTRAP to your brokers"
        )
    return local_kafka(settings.kafka, state.bootstrap)


def local_kafka(kafka: KafkaSettings, bootstrap: str) -> KafkaSettings:
    """The settings adapted to the local broker, except those that the user has set.

    Its group members are dynamic: once a second static member joined, the first got no more records (Tansu 0.6.0).
    """
    local_values: dict[str, object] = {
        "session_timeout_ms": LOCAL_SESSION_MS,
        "fetch_wait_ms": LOCAL_FETCH_WAIT_MS,
        "membership": "dynamic",
    }
    changes = {name: value for name, value in local_values.items() if name not in kafka.model_fields_set}
    return kafka.model_copy(update=changes | {"bootstrap": bootstrap})


def resolve_index_socket(settings: Settings, generation: int | None = None) -> Path:
    """Socket of the embedded index of a generation, by default of the serving one.

    Raises Unavailable if that index does not run; another generation's index is never used instead.
    """
    state = read_local_state(settings.data)
    if state is not None and state.index is not None and generation is not None:
        if generation not in state.indexes:
            raise Unavailable(f"index {generation} does not run on {settings.data}: it starts, or it was dropped")
        return state.indexes[generation]
    if state is None or state.index is None:
        raise Unavailable(
            f"no embedded index runs on {settings.data}: start `lookstream up`, or set LOOKSTREAM_QDRANT_URL"
        )
    return state.index


def page_address(settings: Settings) -> str:
    """Address of the page; raises Unavailable if no `lookstream up` on the data folder serves one."""
    state = read_local_state(settings.data)
    if state is None or state.page is None:
        raise Unavailable(f"no page runs on {settings.data}: start `lookstream up`, and wait until it is up")
    return state.page


def is_process_running(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
