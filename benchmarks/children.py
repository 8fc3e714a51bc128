"""Measured runs, each in a new process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = HERE.parent / "build" / "benchmarks"


def measure(command: Sequence[str | Path]) -> dict[str, Any]:
    """What the command printed as its last line, a JSON object. Raises CalledProcessError, after the child's own words.

    The child is a new program, not a fork, so that it inherits nothing of this process's memory.
    """
    environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [str(word) for word in command], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report


def machine() -> str:
    """The machine in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{cores} cores of {names[0] if names else platform.machine()}; load before the first run {load:.1f}"
