"""Many events that wait: how rate and memory change on the way through them."""

import sys
from typing import Any

from benchmarks.measuring.programs import OURS
from benchmarks.measuring.runs import Run, run
from benchmarks.measuring.stage import Stage
from benchmarks.reports import report
from benchmarks.traffic.mixes import shop


def backlog(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Ten million events that wait: the rate and the memory of each tenth, in one run."""
    topic = stage.topic(int(10_000_000 * scale), shop)
    one = run(stage, OURS, topic)
    print(report.line(one), file=sys.stderr, flush=True)
    rows = []
    for tenth in range(10):
        low, high = topic.expected.rows * tenth // 10, topic.expected.rows * (tenth + 1) // 10
        begin, end = _when(one, low), _when(one, high)
        used = [memory / 1e6 for at, memory in one.memory if begin <= at <= end]
        rate = (high - low) / (end - begin) if end > begin else 0.0
        rows.append([str(tenth + 1), f"{rate:,.0f}", f"{max(used):.0f}" if used else "–"])
    text = report.table(["tenth", "events/s", "memory at most (MB)"], rows)
    course = {"memory": one.memory, "growth": one.growth}
    return f"{report.line(one)}\n\n{text}", {**report.as_json(one), **course}


def _when(one: Run, rows: int) -> float:
    """Seconds after the start at which so many rows were stored."""
    return next((at for at, stored in one.growth if stored >= rows), one.last_row)
