"""Cores: how many processor cores this process may use, and what they are good at."""

import math
import os
from pathlib import Path

QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""The limit of a container (cgroup v2): microseconds of processor time, or `max`, and the length of a period."""


def available_cores(quota_file: Path = QUOTA_FILE) -> int:
    """The cores that this process may use, at least 1: by its affinity, and by the limit of its container.

    `os.cpu_count` returns those of the machine: in a pod with 2 of 16 cores it would start 16 decoders.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        limit = cores if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return cores
    return max(1, min(cores, limit))


def has_fast_bfloat16(processor_file: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 is faster than float32: with AMX, or AVX-512 on AMD; on Intel AVX-512 is not (measured).

    False where Linux does not describe the processor.
    """
    try:
        described = processor_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    words = set(described.split())
    return "amx_bf16" in words or ("avx512_bf16" in words and "AuthenticAMD" in words)
