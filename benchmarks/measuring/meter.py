"""What a program costs: processor time and memory of all its processes, from /proc."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
#: Seconds between looks for new processes: looking through /proc is not free.
_LOOK_AGAIN = 1.0


class Meter:
    """Measures the processes of sessions; each of our children leads one of its own.

    Args:
        leaders: pids of the sessions' first processes.
    """

    def __init__(self, leaders: Iterable[int]) -> None:
        self._leaders = frozenset(leaders)
        self._pids: list[int] = []
        self._looked = float("-inf")
        #: Most bytes that were in memory: the sum of the peaks of the processes alive at a time.
        self.peak_memory = 0

    def cpu(self) -> float:
        """Seconds of processor time so far, ended children included."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            self._look()
        return sum(_cpu_ticks(stat) for pid in self._pids if (stat := _stat(pid))) / _TICKS

    def memory(self) -> int:
        """Bytes in memory now."""
        self._look()
        return sum(_bytes(pid, "VmRSS") for pid in self._pids)

    def _look(self) -> None:
        everyone = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        self._pids = [
            pid for pid in everyone if (stat := _stat(pid)) and int(stat[3]) in self._leaders
        ]
        self._looked = time.monotonic()
        peak = sum(_bytes(pid, "VmHWM") for pid in self._pids)
        self.peak_memory = max(self.peak_memory, peak)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_ticks(stat: list[str]) -> int:
    return sum(map(int, stat[11:15]))


def _bytes(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 if found else 0
