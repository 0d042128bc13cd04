"""A rolling restart under load, with and without static membership: who notices it, how long."""

import json
import re
import signal
import time
import urllib.request
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measuring.programs import Job, workers
from benchmarks.measuring.runs import STALL_TIMEOUT
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.stalls import Stalls
from benchmarks.measuring.table import check, connect
from benchmarks.measuring.worker import wait_for_rows
from benchmarks.reports import report
from benchmarks.traffic.mixes import sale
from benchmarks.traffic.sender import Sender
from benchmarks.traffic.topics import expected
from dev.servers.processes import StartError, free_port

#: Events a second, and workers, each with a partition of its own.
RATE, WORKERS = 10_000, 4
#: Seconds without a heartbeat: longer than a restart takes.
SESSION = 60
#: Seconds before the first restart, and between a worker's return and the next.
REST = 10
#: Seconds that a worker may take to end.
END_TIMEOUT = 40

_REREAD = re.compile(r"(\d+) buffered events were dropped and will be read again")
_REBALANCES = re.compile(r"^etl_rebalances_total (\S+)", re.MULTILINE)


@dataclass
class Roll:
    """A rolling restart, and what came of it; times in seconds."""

    name: str
    #: The longest time without a row, of each partition, while nothing is restarted.
    usual: list[float] = field(default_factory=list)
    #: The same during the restarts, and of partitions whose worker was not being restarted.
    longest: list[float] = field(default_factory=list)
    others: float = 0.0
    #: From each worker's SIGTERM until it was ready again.
    restarts: list[float] = field(default_factory=list)
    #: How often workers that were not being restarted were given partitions.
    rebalances: int = 0
    #: Events that were read, not stored, and read again.
    reread: int = 0
    events: int = 0
    wrong: str = ""


class Worker:
    """A worker that can be restarted, and its pages."""

    def __init__(self, job: Job, number: int, **settings: object) -> None:
        self._job, self._number = job, number
        self._settings = {**settings, "SESSION_TIMEOUT": SESSION, "FLUSH_INTERVAL": 1}
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Start it; returns when it is ready."""
        self._starts += 1
        self._port = free_port()
        scratch = self._job.scratch / f"worker-{self._number}-{self._starts}"
        scratch.mkdir()
        job = Job(**{**vars(self._job), "scratch": scratch})
        [self.process] = workers(1, PORT=self._port, **self._settings)(job)
        self.process.wait_for(self._is_ready, STALL_TIMEOUT, "a worker")

    def restart(self) -> None:
        """SIGTERM, and a new process when that has ended."""
        self.process.signal(signal.SIGTERM)
        self.process.wait(END_TIMEOUT)
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def page(self, path: str) -> str:
        """What a page says."""
        address = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())

    @property
    def rebalances(self) -> int:
        """How often it was given partitions."""
        found = _REBALANCES.search(self.page("/metrics"))
        return int(float(found[1])) if found else 0

    @property
    def partitions(self) -> set[int]:
        """What it reads."""
        found = json.loads(self.page("/batches/"))["partitions"]
        return {one["partition"] for one in found}

    @property
    def reread(self) -> int:
        """Events that its processes dropped, which are read again."""
        logs = self._job.scratch.glob(f"worker-{self._number}-*/log*")
        return sum(int(found) for log in logs for found in _REREAD.findall(log.read_text()))

    def _is_ready(self) -> bool:
        with suppress(OSError):
            return bool(self.page("/ready/"))
        return False


def restarts(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Restart each of the workers in turn; once without names and once with."""
    rate = int(RATE * scale)
    rolls = [_roll(stage, rate, named=named) for named in (False, True)]
    head = ["", "longest stall of each partition (s)", "while another worker restarts (s)"]
    head += ["rebalances of the others", "events read again", "a restart takes (s)"]
    head += ["missing, doubled or wrong"]
    rows = [
        [
            roll.name,
            _seconds(roll.longest),
            f"{roll.others:.1f}",
            str(roll.rebalances),
            str(roll.reread),
            _seconds(roll.restarts),
            roll.wrong or f"none of {roll.events:,}",
        ]
        for roll in rolls
    ]
    usual = max(max(roll.usual) for roll in rolls)
    note = f"At {rate:,} events/s. With no restart the longest stall is {usual:.1f} s."
    return f"{report.table(head, rows)}\n\n{note}", [asdict(roll) for roll in rolls]


def _roll(stage: Stage, rate: int, *, named: bool) -> Roll:
    roll = Roll("GROUP_INSTANCE_ID" if named else "no names")
    topic = f"restarts_{time.time_ns()}"
    scratch = stage.folder / topic
    scratch.mkdir()
    stage.broker.create_topic(topic, WORKERS)
    to = stage.broker.bootstrap, topic, WORKERS
    warm = 2 * rate
    with stage.database() as url, ExitStack() as stack:
        job = Job(stage.broker.bootstrap, topic, topic, url, 0, scratch)
        running = []
        for number in range(WORKERS):
            name = {"GROUP_INSTANCE_ID": f"worker-{number}"} if named else {}
            running.append(Worker(job, number, **name))
            stack.callback(running[-1].kill)
        _until(lambda: all(len(one.partitions) == 1 for one in running), "share the partitions")
        database = stack.enter_context(closing(connect(url)))
        table = stack.enter_context(database.cursor())
        with Sender(*to, rate=rate, total=warm, scratch=scratch):
            wait_for_rows(table, warm, running[0].process)
        with Sender(*to, rate=rate, first=warm, total=rate * 3600, scratch=scratch) as sender:
            _until(lambda: sender.sent > rate, "send events")
            with Stalls(url, topic) as usual:
                time.sleep(REST)
            roll.usual = _by_partition(usual)
            for worker in running:
                _restart(worker, running, roll, url, topic)
            sender.stop()
            roll.events = warm + sender.sent
            wait_for_rows(table, roll.events, running[0].process)
            roll.reread = sum(worker.reread for worker in running)
            roll.wrong = check(table, expected(sale, roll.events))
    return roll


def _restart(worker: Worker, running: list[Worker], roll: Roll, url: str, topic: str) -> None:
    others = [one for one in running if one is not worker]
    theirs = set().union(*(one.partitions for one in others))
    before = sum(one.rebalances for one in others)
    with Stalls(url, topic) as stalls:
        begun = time.monotonic()
        worker.restart()
        roll.restarts.append(time.monotonic() - begun)
        time.sleep(REST)
    roll.rebalances += sum(one.rebalances for one in others) - before
    found = _by_partition(stalls)
    roll.longest = [max(pair) for pair in zip(found, roll.longest or found, strict=True)]
    roll.others = max(roll.others, *(found[partition] for partition in theirs))


def _by_partition(stalls: Stalls) -> list[float]:
    return [stalls.longest.get(partition, 0.0) for partition in range(WORKERS)]


def _seconds(found: list[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in found)


def _until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + STALL_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(f"The workers did not {what} within {STALL_TIMEOUT} s")
        time.sleep(0.2)
