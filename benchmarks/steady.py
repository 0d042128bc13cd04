"""What a steady rate of events costs, and how soon each is a row."""

import math
import time
from array import array
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice, pairwise
from statistics import median
from typing import Any

from confluent_kafka import Producer

from benchmarks import report
from benchmarks.meter import Meter
from benchmarks.programs import OURS, Job
from benchmarks.runs import STALL_TIMEOUT
from benchmarks.stage import Stage
from benchmarks.table import connect, count, newest
from benchmarks.topics import PRODUCER, numbered
from benchmarks.traffic import sale
from dev.broker import DEFAULT_PARTITIONS
from dev.processes import Process, StartError

#: Events a second, and seconds, of the measurement of latency.
STEADY_RATE = 10_000
STEADY_SECONDS = 60

#: Events a second of ordinary days, the first of which has none; their partitions, and seconds.
ORDINARY_RATES = (0, 1_000, 5_000, 20_000)
ORDINARY_PARTITIONS = 6
ORDINARY_SECONDS = 30
#: Seconds before it, so that nothing of the worker's start is in it.
_SETTLING = 6


def ordinary_day(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Processor time of a worker that keeps up with a steady rate."""
    seconds = max(5.0, ORDINARY_SECONDS * scale)
    found: dict[int, list[float]] = {rate: [] for rate in ORDINARY_RATES}
    for _ in range(rounds):
        for rate, cores in found.items():
            cores.append(_cores(stage, rate, seconds))
    rows = [
        [
            f"{rate:,}",
            report.spread([100 * one for one in cores], ".1f"),
            report.spread([1e6 * one / rate for one in cores], ".1f") if rate else "–",
        ]
        for rate, cores in found.items()
    ]
    head = ["events/s", "% of a core", "CPU µs/event"]
    medians = {str(rate): median(cores) for rate, cores in found.items()}
    return report.table(head, rows), {"cores": medians}


def _cores(stage: Stage, rate: int, seconds: float) -> float:
    """Seconds of processor time a second, at so many events a second."""
    topic = f"ordinary_{time.time_ns()}"
    with (
        _worker(stage, topic, ORDINARY_PARTITIONS) as (url, process),
        closing(connect(url)) as database,
    ):
        meter = Meter([process.pid])
        source = numbered(sale)
        _send(stage, topic, source, rate=10, seconds=1)
        with database.cursor() as table:
            deadline = time.monotonic() + STALL_TIMEOUT
            while not count(table):
                if time.monotonic() > deadline:
                    raise StartError(f"No row came: see {process.log}")
                time.sleep(0.2)
        _send(stage, topic, source, rate=rate, seconds=_SETTLING)
        before, begun = meter.cpu(), time.monotonic()
        _send(stage, topic, source, rate=rate, seconds=seconds)
        return (meter.cpu() - before) / (time.monotonic() - begun)


@contextmanager
def _worker(stage: Stage, topic: str, partitions: int) -> Iterator[tuple[str, Process]]:
    """A worker on a new topic, and the address of its database."""
    stage.broker.create_topic(topic, partitions)
    scratch = stage.folder / topic
    scratch.mkdir()
    with stage.database() as url:
        [process] = OURS.start(Job(stage.broker.bootstrap, topic, topic, url, OURS.batch, scratch))
        try:
            yield url, process
        finally:
            process.kill()


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


def latency(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Seconds from an event's being sent to its row's being there, at a steady rate."""
    topic = f"steady_{time.time_ns()}"
    total = int(STEADY_RATE * STEADY_SECONDS * scale)
    with _worker(stage, topic, DEFAULT_PARTITIONS) as (url, process):
        sent, seen = _trickle(stage, topic, url, total)
        waits = _waits(url, sent, seen)
    if len(waits) != total:
        raise StartError(f"WRONG: {len(waits)} rows instead of {total}: see {process.log}")
    found = {
        "median": waits[len(waits) // 2],
        "p99": waits[math.ceil(len(waits) * 0.99) - 1],
        "longest": waits[-1],
    }
    cells = [[f"{STEADY_RATE:,}", f"{total:,}", *(f"{seconds:.2f}" for seconds in found.values())]]
    head = ["events/s", "events", *(f"{name} (s)" for name in found)]
    return report.table(head, cells), found


def _trickle(
    stage: Stage, topic: str, url: str, total: int
) -> "tuple[array[float], list[tuple[float, int]]]":
    """Send events at a steady rate; returns when each was sent, and when which ids were seen."""
    producer = Producer({**PRODUCER, "linger.ms": 5, "bootstrap.servers": stage.broker.bootstrap})
    sent = array("d")
    seen = [(0.0, 0)]
    source = islice(numbered(sale), total)
    with closing(connect(url)) as database, database.cursor() as table:
        begun = looked = time.monotonic()
        while len(sent) < total or looked - sent[-1] < STALL_TIMEOUT:
            now = time.monotonic()
            due = min(total, int((now - begun) * STEADY_RATE)) - len(sent)
            for value, _, _ in islice(source, due):
                producer.produce(topic, value, partition=len(sent) % DEFAULT_PARTITIONS)
                sent.append(time.monotonic())
            producer.poll(0)
            last = newest(table)
            if last != seen[-1][1]:
                seen.append((time.monotonic(), last))
            if len(sent) == total and now - looked > 1:
                looked = now
                if count(table) >= total:
                    break
            time.sleep(0.01)
    return sent, seen


def _waits(url: str, sent: "array[float]", seen: list[tuple[float, int]]) -> list[float]:
    """Seconds each event waited for its row, the shortest first."""
    waits = []
    with closing(connect(url)) as database, database.cursor() as table:
        for (_, after), (at, last) in pairwise(seen):
            table.execute(
                "SELECT event_id FROM flash_sale_events WHERE id > %s AND id <= %s", (after, last)
            )
            waits += [at - sent[int(event_id[4:])] for (event_id,) in table.fetchall()]
    return sorted(waits)
