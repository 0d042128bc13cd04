"""What a steady rate of events costs."""

import time
from contextlib import closing
from itertools import islice
from typing import Any

from confluent_kafka import Producer

from benchmarks.measuring.meter import Meter
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import connect
from benchmarks.measuring.worker import wait_for_rows, worker
from benchmarks.reports import report
from benchmarks.traffic.mixes import shop
from benchmarks.traffic.topics import PRODUCER, numbered

#: Events a second of ordinary days, the first of which has none; their partitions, and seconds.
ORDINARY_RATES = (0, 1_000, 5_000, 20_000)
ORDINARY_PARTITIONS = 6
ORDINARY_SECONDS = 30
#: Seconds before it, so that nothing of the worker's start is in it; while idle, nor of sums.
_SETTLING, _IDLE_SETTLING = 6, 20


def ordinary_day(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Processor time of a worker that keeps up with a steady rate."""
    seconds = max(5.0, ORDINARY_SECONDS * scale)
    found: dict[int, list[float]] = {rate: [] for rate in ORDINARY_RATES}
    hourly: list[float] = []
    for _ in range(rounds):
        for rate, cores in found.items():
            core, statements = _costs(stage, rate, seconds)
            cores.append(core)
            if not rate:
                hourly.append(3600 * statements)
    rows = [
        [
            f"{rate:,}",
            report.spread([100 * one for one in cores], ".1f"),
            report.spread([1e6 * one / rate for one in cores], ".1f") if rate else "–",
        ]
        for rate, cores in found.items()
    ]
    head = ["events/s", "% of a core", "CPU µs/event"]
    idle = f"Without events it sends {report.spread(hourly, ',.0f')} statements an hour."
    results = {"cores": {str(rate): one for rate, one in found.items()}, "statements": hourly}
    return f"{report.table(head, rows)}\n\n{idle}", results


def _costs(stage: Stage, rate: int, seconds: float) -> tuple[float, float]:
    """Seconds of processor time and statements a second, at so many events a second."""
    topic = f"ordinary_{time.time_ns()}"
    with (
        worker(stage, topic, ORDINARY_PARTITIONS) as (url, process),
        closing(connect(url)) as database,
    ):
        meter = Meter([process.pid])
        source = numbered(shop)
        _send(stage, topic, source, rate=10, seconds=1)
        with database.cursor() as table:
            wait_for_rows(table, 1, process)
            settling = _SETTLING if rate else _IDLE_SETTLING
            _send(stage, topic, source, rate=rate, seconds=settling)
            asked = _statements(table)
            before, begun = meter.cpu(), time.monotonic()
            _send(stage, topic, source, rate=rate, seconds=seconds)
            passed = time.monotonic() - begun
            # Without the one that asks.
            sent = _statements(table) - asked - 1
            return (meter.cpu() - before) / passed, sent / passed


def _statements(table: Any) -> int:
    table.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
    return int(table.fetchone()[1])


def _send(stage: Stage, topic: str, source: Any, *, rate: int, seconds: float) -> None:
    """Send events at a steady rate, to the partitions in turn."""
    producer = Producer({**PRODUCER, "linger.ms": 5, "bootstrap.servers": stage.broker.bootstrap})
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        for value, _, _ in islice(source, int(passed * rate) - sent):
            producer.produce(topic, value, partition=sent % ORDINARY_PARTITIONS)
            sent += 1
        producer.poll(0)
        time.sleep(0.01)
    producer.flush(30)
