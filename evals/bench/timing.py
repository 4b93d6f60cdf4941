"""Seconds of actions and of whole processes, taken in turns with what they are compared with."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evals import NO_LIBRARY


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds that an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def run(command: Sequence[str], cache: Path) -> None:
    """Run a process to its end, without its output; raises if it fails."""
    environment = os.environ | {
        "SAFETY_ASSISTANT_CACHE": str(cache),
        "SAFETY_ASSISTANT_LIBRARY": str(NO_LIBRARY),
        "HF_HUB_OFFLINE": "1",
    }
    subprocess.run(command, check=True, env=environment, capture_output=True)


def in_turns(
    first: Callable[[], object], second: Callable[[], object], times: int
) -> tuple[float, float]:
    """Median seconds of two actions, repeated in turns."""
    pairs = [(seconds(first), seconds(second)) for _ in range(times)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
