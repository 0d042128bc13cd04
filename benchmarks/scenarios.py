"""What only this app is asked: workers, bad values, codecs, a backlog, how soon a row is there."""

import math
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice, pairwise
from statistics import median
from typing import Any

from confluent_kafka import Producer
from sqlalchemy import make_url

from benchmarks import report, runs
from benchmarks.compare import line
from benchmarks.programs import OURS, Job, workers
from benchmarks.runs import Run, run
from benchmarks.stage import Stage
from benchmarks.topics import (
    CHECKED,
    CODEC,
    PRODUCER,
    all_different,
    bad,
    few_products,
    many_products,
    mistyped,
    no_purchases,
    numbered,
    one_percent,
    refused,
    sale,
)
from db.engine import connect
from db.upgrade import make_index
from dev.broker import DEFAULT_PARTITIONS
from dev.processes import Process, StartError

#: A table and the results for JSON, from the rounds and the scale of the sizes.
Scenario = Callable[[Stage, int, float], tuple[str, Any]]

#: Events a second, and seconds, of the measurement of latency.
STEADY_RATE = 10_000
STEADY_SECONDS = 60


def more_workers(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """One, two and four workers on a topic of four partitions."""
    topic = stage.topic(int(1_000_000 * scale))
    programs = [
        replace(OURS, name=f"{number} worker{'s' * (number > 1)}", start=workers(number))
        for number in (1, 2, 4)
    ]
    done = _rounds(
        rounds, [lambda program=program: run(stage, program, topic) for program in programs]
    )
    return _table(done), _json(done)


def bad_values(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Events of which one in twenty must be dropped; and events none of which fits the schema."""
    names = {sale: "good events", bad: "5 % must be dropped", mistyped: "100 % mistyped"}
    topics = {mix: stage.topic(int(500_000 * scale), mix) for mix in names}
    done = _rounds(
        rounds,
        [
            lambda mix=mix, name=name: run(stage, replace(OURS, name=name), topics[mix])
            for mix, name in names.items()
        ],
    )
    return _table(done), _json(done)


def refused_rows(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Events whose rows a CHECK of the database refuses: none of them, 1 % and all."""
    mixes = {sale: "none refused", one_percent: "1 % refused", refused: "100 % refused"}
    sizes = {sale: 500_000, one_percent: 500_000, refused: 60_000}
    topics = {mix: stage.topic(int(sizes[mix] * scale), mix) for mix in mixes}
    done = _rounds(
        rounds,
        [
            lambda mix=mix, name=name: run(
                # With the breaker on, a partition of refused rows would be held.
                stage,
                replace(OURS, name=name, start=workers(1, BREAKER_SHARE=0)),
                topics[mix],
                CHECKED,
            )
            for mix, name in mixes.items()
        ],
    )
    return _table(done), _json(done)


def catalogue(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """What the sales sums cost, by what is sold; they are kept all the while, every second."""
    mixes = {
        "no purchases": no_purchases,
        "1/3 buy, 5,000 products": many_products,
        "1/3 buy, 100 products": few_products,
        "every event its own product and minute": all_different,
    }
    topics = {name: stage.topic(int(1_500_000 * scale), mix) for name, mix in mixes.items()}
    start = workers(1, ROLLUP_INTERVAL=1)
    done = _rounds(
        rounds,
        [
            lambda name=name: run(
                stage, replace(OURS, name=name, start=start), topics[name], sums=True
            )
            for name in mixes
        ],
    )
    head = ["", "summed meanwhile", "behind at the end (rows)", "summed after (s)"]
    rows = [
        [
            name,
            report.spread([one[place].summed / one[place].steady for one in done], ".0%"),
            report.spread([one[place].behind for one in done], ",.0f"),
            report.spread([one[place].catching_up for one in done], ".1f"),
        ]
        for place, name in enumerate(mixes)
    ]
    ratios = [
        f"{name}: {report.spread([one[at].rate / one[beside].rate for one in done], '.2f')}, "
        f"wanted {wanted}"
        for name, at, beside, wanted in (
            ("1/3 buy, 5,000 products, beside no purchases", 1, 0, 0.95),
            ("every event its own product and minute, beside 100 products", 3, 2, 0.75),
        )
    ]
    return "\n\n".join([_table(done), report.table(head, rows), *ratios]), _json(done)


def duplicates(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Duplicates stored, as by default; left out where there are none; left out, 5 % of them."""
    fresh, repeated = (stage.topic(int(500_000 * scale), repeat=repeat) for repeat in (0, 20))
    off = replace(OURS, name="DEDUPLICATE=false")
    done = _rounds(
        rounds,
        [
            lambda: run(stage, off, fresh),
            lambda: run(stage, replace(off, name="true, no duplicates", start=_index), fresh),
            lambda: run(stage, replace(off, name="true, 5 % duplicates", start=_index), repeated),
        ],
    )
    return _table(done), _json(done)


def _index(job: Job) -> list[Process]:
    """Make the index over event ids; start a worker that leaves duplicates out."""
    engine = connect(make_url(job.database_url).set(drivername="mysql+pymysql"))
    make_index(engine)
    engine.dispose()
    return workers(1, DEDUPLICATE="true")(job)


def all_codecs(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """The same events, uncompressed and compressed with each of Kafka's codecs."""
    codecs = (CODEC, "none", "snappy", "gzip", "zstd")
    topics = {codec: stage.topic(int(500_000 * scale), codec=codec) for codec in codecs}
    done = _rounds(
        rounds,
        [
            lambda codec=codec: run(
                stage,
                replace(OURS, name="uncompressed" if codec == "none" else codec),
                topics[codec],
            )
            for codec in codecs
        ],
    )
    return _table(done), _json(done)


def backlog(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Ten million events that wait: the rate and the memory of each tenth, in one run."""
    topic = stage.topic(int(10_000_000 * scale))
    one = run(stage, OURS, topic)
    print(line(one), file=sys.stderr, flush=True)
    rows = []
    for tenth in range(10):
        low, high = topic.expected.rows * tenth // 10, topic.expected.rows * (tenth + 1) // 10
        begin, end = _when(one, low), _when(one, high)
        used = [memory / 1e6 for at, memory in one.memory if begin <= at <= end]
        rate = (high - low) / (end - begin) if end > begin else 0.0
        rows.append([str(tenth + 1), f"{rate:,.0f}", f"{max(used):.0f}" if used else "–"])
    text = report.table(["tenth", "events/s", "memory at most (MB)"], rows)
    course = {"memory": one.memory, "growth": one.growth}
    return f"{line(one)}\n\n{text}", {**report.as_json(one), **course}


def latency(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Seconds from an event's being sent to its row's being there, at a steady rate."""
    topic = f"steady_{time.time_ns()}"
    stage.broker.create_topic(topic)
    scratch = stage.folder / topic
    scratch.mkdir()
    total = int(STEADY_RATE * STEADY_SECONDS * scale)
    with stage.database() as url:
        [process] = OURS.start(Job(stage.broker.bootstrap, topic, topic, url, OURS.batch, scratch))
        try:
            sent, seen = _trickle(stage, topic, url, total)
            waits = _waits(url, sent, seen)
        finally:
            process.kill()
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


SCENARIOS: dict[str, Scenario] = {
    "latency": latency,
    "workers": more_workers,
    "bad": bad_values,
    "refused": refused_rows,
    "catalogue": catalogue,
    "duplicates": duplicates,
    "codecs": all_codecs,
    "backlog": backlog,
}


def _rounds(rounds: int, measurements: Sequence[Callable[[], Run]]) -> list[list[Run]]:
    done = []
    for number in range(rounds):
        found = []
        for measure in measurements:
            one = measure()
            print(f"round {number + 1}/{rounds} {line(one)}", file=sys.stderr, flush=True)
            found.append(one)
        done.append(found)
    return done


def _table(rounds: list[list[Run]]) -> str:
    """Each beside the first of its round."""
    rows = []
    for place, first in enumerate(rounds[0]):
        column = [one[place] for one in rounds]
        wrong = next((run.wrong for run in column if run.wrong), "")
        faster = [one[place].rate / one[0].rate for one in rounds if one[0].rate]
        dearer = [one[place].micros / one[0].micros for one in rounds if one[0].micros]
        rows.append(
            [
                f"{first.program} (WRONG: {wrong})" if wrong else first.program,
                report.spread([run.rate for run in column], ",.0f"),
                f"{median(faster):.2f}" if faster else "–",
                report.spread([run.micros for run in column], ".1f"),
                f"{median(dearer):.2f}" if dearer else "–",
                report.spread([run.peak_memory / 1e6 for run in column], ".0f"),
            ]
        )
    head = ["", "events/s", "beside the first", "CPU µs/event", "beside the first"]
    return report.table([*head, "peak memory (MB)"], rows)


def _json(rounds: list[list[Run]]) -> list[list[dict[str, Any]]]:
    return [[report.as_json(one) for one in found] for found in rounds]


def _when(one: Run, rows: int) -> float:
    """Seconds after the start at which so many rows were stored."""
    return next((at for at, stored in one.growth if stored >= rows), one.last_row)


def _trickle(
    stage: Stage, topic: str, url: str, total: int
) -> "tuple[array[float], list[tuple[float, int]]]":
    """Send events at a steady rate; returns when each was sent, and when which ids were seen."""
    producer = Producer({**PRODUCER, "linger.ms": 5, "bootstrap.servers": stage.broker.bootstrap})
    sent = array("d")
    seen = [(0.0, 0)]
    source = islice(numbered(sale), total)
    with closing(runs.connect(url)) as database, database.cursor() as table:
        begun = looked = time.monotonic()
        while len(sent) < total or looked - sent[-1] < runs.STALL_TIMEOUT:
            now = time.monotonic()
            due = min(total, int((now - begun) * STEADY_RATE)) - len(sent)
            for value, _, _ in islice(source, due):
                producer.produce(topic, value, partition=len(sent) % DEFAULT_PARTITIONS)
                sent.append(time.monotonic())
            producer.poll(0)
            newest = runs.newest(table)
            if newest != seen[-1][1]:
                seen.append((time.monotonic(), newest))
            if len(sent) == total and now - looked > 1:
                looked = now
                if runs.count(table) >= total:
                    break
            time.sleep(0.01)
    return sent, seen


def _waits(url: str, sent: "array[float]", seen: list[tuple[float, int]]) -> list[float]:
    """Seconds each event waited for its row, the shortest first."""
    waits = []
    with closing(runs.connect(url)) as database, database.cursor() as table:
        for (_, after), (at, newest) in pairwise(seen):
            table.execute(
                "SELECT event_id FROM flash_sale_events WHERE id > %s AND id <= %s", (after, newest)
            )
            waits += [at - sent[int(event_id[4:])] for (event_id,) in table.fetchall()]
    return sorted(waits)
