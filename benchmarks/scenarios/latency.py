"""How soon an event is a row, at steady rates."""

import math
import time
from array import array
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from benchmarks.measuring.runs import STALL_TIMEOUT
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import check, connect, count, newest
from benchmarks.measuring.worker import wait_for_rows, worker
from benchmarks.reports import report
from benchmarks.traffic.mixes import POOL, sale
from benchmarks.traffic.sender import Sender
from benchmarks.traffic.topics import expected
from dev.servers.broker import DEFAULT_PARTITIONS

#: Events a second, and seconds.
RATES = (1_000, 10_000, 50_000, 100_000)
SECONDS = 40
#: Events a second of those before, which find out that the worker is there.
FIRST_RATE = 10_000
#: Seconds between looks at the table.
TICK = 0.01


@dataclass(frozen=True)
class Latency:
    """Seconds from an event's being sent to its row's being there, at a rate."""

    rate: int
    #: Events a second that were sent indeed, and that were stored meanwhile.
    sent: float
    stored: float
    events: int
    median: float
    p99: float
    p999: float
    longest: float
    #: What the table has and should not.
    wrong: str


def latency(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """The waits of all events, rate by rate; each rate once."""
    found = [_measure(stage, rate, int(rate * SECONDS * scale)) for rate in RATES]
    rows = [
        [
            f"{one.rate:,} (WRONG: {one.wrong})" if one.wrong else f"{one.rate:,}",
            f"{one.sent:,.0f}",
            f"{one.stored:,.0f}",
            f"{one.events:,}",
            *(f"{wait:.2f}" for wait in (one.median, one.p99, one.p999, one.longest)),
        ]
        for one in found
    ]
    head = ["events/s", "sent events/s", "stored events/s", "events"]
    seconds = ["median (s)", "p99 (s)", "p99.9 (s)", "longest (s)"]
    return report.table([*head, *seconds], rows), [asdict(one) for one in found]


def _measure(stage: Stage, rate: int, total: int) -> Latency:
    topic = f"latency_{rate}_{time.time_ns()}"
    with (
        worker(stage, topic, DEFAULT_PARTITIONS) as (url, process),
        closing(connect(url)) as database,
        database.cursor() as table,
    ):
        to = stage.broker.bootstrap, topic, DEFAULT_PARTITIONS
        scratch = stage.folder / topic
        with Sender(*to, rate=FIRST_RATE, total=POOL, scratch=scratch):
            wait_for_rows(table, POOL, process)
        with Sender(*to, rate=rate, first=POOL, total=total, scratch=scratch) as sender:
            seen = _watch(table, sender, POOL + total)
        stored = _stored(table, [one for one in seen[1:] if one[0] <= sender.ended])
        waits = _waits(table, sender, seen)
        wrong = check(table, expected(sale, POOL + total))
    return Latency(
        rate=rate,
        sent=sender.rate,
        stored=stored,
        events=len(waits),
        median=_percentile(waits, 0.5),
        p99=_percentile(waits, 0.99),
        p999=_percentile(waits, 0.999),
        longest=waits[-1],
        wrong=wrong,
    )


def _watch(table: Any, sender: Sender, rows: int) -> list[tuple[float, int]]:
    """The newest row's id whenever it was seen to be another, until all rows are there."""
    seen = [(0.0, newest(table))]
    looked = moved = time.monotonic()
    while (now := time.monotonic()) - moved < STALL_TIMEOUT:
        last = newest(table)
        if last != seen[-1][1]:
            moved = time.monotonic()
            seen.append((moved, last))
        # Counting is dear.
        if now - looked > 1 and sender.done:
            looked = now
            if count(table) >= rows:
                break
        time.sleep(TICK)
    return seen


def _stored(table: Any, seen: Sequence[tuple[float, int]]) -> float:
    """Events a second from the first of these moments to the last."""
    if len(seen) < 2:
        return 0.0
    (begin, first), (end, last) = seen[0], seen[-1]
    return count(table, first, last) / (end - begin)


def _waits(table: Any, sender: Sender, seen: Sequence[tuple[float, int]]) -> Sequence[float]:
    """Seconds each event waited for its row, the shortest first."""
    waits = array("d")
    for (_, after), (at, last) in pairwise(seen):
        table.execute(
            "SELECT event_id FROM flash_sale_events WHERE id > %s AND id <= %s", (after, last)
        )
        waits.extend(at - sender.when(int(event_id[4:])) for (event_id,) in table.fetchall())
    return sorted(waits)


def _percentile(waits: Sequence[float], share: float) -> float:
    return waits[math.ceil(len(waits) * share) - 1]
