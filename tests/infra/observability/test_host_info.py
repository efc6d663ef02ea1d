"""A lower priority of a process, and of its session only if the process leads it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOWER_PRIORITY = """
import os
from pathlib import Path
from infra.observability.host_info import lower_priority
group = Path("/proc/self/autogroup")
read = lambda: (["none"] + (group.read_text().split() if group.exists() else []))[-1]  # empty outside of sessions
before = read()
lower_priority(5)
print(os.nice(0), before, read())
"""


@pytest.mark.parametrize("leads", [True, False])
def test_a_process_gives_way_and_its_session_only_when_it_leads_it(*, leads: bool) -> None:
    words = [sys.executable, "-c", LOWER_PRIORITY]
    done = subprocess.run(words, start_new_session=leads, capture_output=True, text=True, check=True, cwd=ROOT)
    niceness, before, after = done.stdout.split()
    assert int(niceness) >= 5
    assert after == ("5" if leads and before != "none" else before)
