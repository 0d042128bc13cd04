"""How long a worker needs to work off an outage of the database while events keep coming."""

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring.meter import Meter
from benchmarks.measuring.runs import STALL_TIMEOUT
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import check, connect, count, newest
from benchmarks.measuring.worker import wait_for_rows, worker
from benchmarks.reports import report
from benchmarks.traffic.mixes import POOL, sale
from benchmarks.traffic.sender import Sender
from benchmarks.traffic.topics import expected
from config.settings import Settings
from dev.servers.broker import DEFAULT_PARTITIONS
from dev.servers.processes import Process, StartError

#: Events a second, before, during and after the outage.
RATE = 20_000
#: Seconds of the outage, and of the one whose time is computed.
SECONDS, HOUR = 180, 3600
#: Seconds before the outage.
BEFORE = 10
#: An event may wait so many seconds without there being a lag: a flush, and its write.
FRESH = float(Settings.model_fields["flush_interval"].default) + 1
#: Times the outage's length after which a worker that still is behind is given up.
PATIENCE = 3
#: Seconds between looks at the table.
TICK = 0.1


@dataclass(frozen=True)
class Outage:
    """An outage of so many seconds, and what came of it."""

    seconds: float
    #: Events a second that were sent indeed.
    sent: float
    #: Events that waited when the database answered again.
    waiting: int
    #: Seconds from then on until the first row came, and until no event waited longer than usual.
    first_row: float
    worked_off: float
    #: Bytes of the worker's memory at most.
    peak_memory: int
    #: What the table has and should not.
    wrong: str


def outage(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Kill the database, start it again, and wait until the lag is gone; once."""
    found = _measure(stage, SECONDS * scale)
    shares = HOUR / found.seconds
    # What comes before the first row does not grow with the outage: a retry, a connection.
    for_an_hour = found.first_row + (found.worked_off - found.first_row) * shares
    measured = f"{found.seconds:,.0f} s, measured"
    rows = [
        [
            f"{measured} (WRONG: {found.wrong})" if found.wrong else measured,
            f"{found.sent:,.0f}",
            f"{found.waiting:,}",
            f"{found.first_row:,.1f}",
            f"{found.worked_off:,.1f}",
            f"{found.peak_memory / 1e6:.0f}",
        ],
        [
            f"{HOUR:,} s, computed",
            f"{found.sent:,.0f}",
            f"{found.waiting * shares:,.0f}",
            f"{found.first_row:,.1f}",
            f"{for_an_hour:,.0f}",
            "–",
        ],
    ]
    head = ["outage", "sent events/s", "events waiting", "first row after (s)"]
    head += ["worked off in (s)", "peak memory (MB)"]
    note = (
        "The second line is computed: what waits, and the time from the first row on, grow with "
        "the outage. New events came all the while."
    )
    return f"{report.table(head, rows)}\n\n{note}", {**asdict(found), "hour_computed": for_an_hour}


def _measure(stage: Stage, seconds: float) -> Outage:
    topic = f"outage_{time.time_ns()}"
    to = stage.broker.bootstrap, topic, DEFAULT_PARTITIONS
    scratch = stage.folder / topic
    most = seconds * PATIENCE + STALL_TIMEOUT
    total = int(RATE * (BEFORE + seconds + most))
    with worker(stage, topic, DEFAULT_PARTITIONS) as (url, process):
        meter = Meter([process.pid])
        with (
            closing(connect(url)) as database,
            database.cursor() as table,
            Sender(*to, rate=RATE, total=POOL, scratch=scratch),
        ):
            wait_for_rows(table, POOL, process)
        with Sender(*to, rate=RATE, first=POOL, total=total, scratch=scratch) as sender:
            while sender.sent < BEFORE * RATE:
                time.sleep(TICK)
            stage.server.kill()
            begun = time.monotonic()
            while time.monotonic() - begun < seconds:
                meter.memory()
                time.sleep(1)
            stage.server.start()
            back = time.monotonic()
            with closing(connect(url)) as database, database.cursor() as table:
                waiting = POOL + sender.sent - count(table)
                first_row, fresh = _until_fresh(table, sender, back + most, process)
                meter.memory()
                sender.stop()
                wait_for_rows(table, POOL + sender.sent, process)
                wrong = check(table, expected(sale, POOL + sender.sent))
    return Outage(
        seconds=back - begun,
        sent=sender.rate,
        waiting=waiting,
        first_row=first_row - back,
        worked_off=fresh - back,
        peak_memory=meter.peak_memory,
        wrong=wrong,
    )


def _until_fresh(
    table: Any, sender: Sender, deadline: float, process: Process
) -> tuple[float, float]:
    """When a row came, and when all events but the newest were rows."""
    last = newest(table)
    rows, first_row = count(table), 0.0
    while (now := time.monotonic()) < deadline:
        found = newest(table)
        if found != last:
            first_row = first_row or now
            # Counting all of them each time would be dear.
            rows += count(table, last, found)
            last = found
        if first_row and rows >= POOL + sender.sent_by(now - FRESH):
            return first_row, now
        time.sleep(TICK)
    raise StartError(f"After {rows} rows it still was behind: see {process.log}")
