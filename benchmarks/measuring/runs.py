"""One run: a program reads a topic from the beginning into an empty table, watched all the while.

Measured is the steady state, between the commits that complete 10 % and 90 % of the rows: before
it a program fills its buffers, after it what is left waits for timers. Taken are the events of it,
the time, and the processor time of program, broker and database. Start-up is a number of its own.
"""

import itertools
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import BENCH
from benchmarks.measuring.meter import Meter
from benchmarks.measuring.programs import Job, Lack, Program
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import check, check_sums, connect, count, newest, summed_to
from benchmarks.traffic.topics import Topic
from dev import ROOT
from dev.servers.processes import Process

#: Seconds between looks at the table.
TICK = 0.02
#: Seconds without a new row after which a program that has stored enough may be done.
QUIET = 1.5
#: Seconds without a new row after which it is given up; the first row may take as long.
STALL_TIMEOUT = 90
#: Shares of the rows at whose commits the steady state begins and ends.
STEADY = 0.1, 0.9


@dataclass(frozen=True)
class Run:
    """What one run came to; ``wrong`` says in words what the table has and should not."""

    program: str
    events: int
    #: Seconds from the program's start to its first committed row, and to its last.
    first_row: float
    last_row: float
    #: Events and seconds of the steady state, and processor seconds in it.
    steady: float
    seconds: float
    cpu: float
    cpu_broker: float
    cpu_database: float
    #: Bytes, all its processes together.
    peak_memory: int
    wrong: str = ""
    #: Rows added to the sales sums in the steady state, those missing there when the last row was
    #: stored, and seconds until none was.
    summed: int = 0
    behind: int = 0
    catching_up: float = 0.0
    #: Bytes in memory over time, in seconds since the start.
    memory: list[tuple[float, int]] = field(default_factory=list)
    #: Rows stored over time.
    growth: list[tuple[float, int]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.steady / self.seconds if self.seconds else 0.0

    @property
    def micros(self) -> float:
        """Microseconds of the program's processor time an event."""
        return 1e6 * self.cpu / self.steady if self.steady else 0.0

    @property
    def micros_broker(self) -> float:
        """The same of the broker."""
        return 1e6 * self.cpu_broker / self.steady if self.steady else 0.0

    @property
    def micros_database(self) -> float:
        """The same of the database."""
        return 1e6 * self.cpu_database / self.steady if self.steady else 0.0


@dataclass(frozen=True)
class Moment:
    """Where everything stood when new rows were seen."""

    at: float
    newest: int
    cpu: float
    cpu_broker: float
    cpu_database: float
    summed_to: int


def run(
    stage: Stage, program: Program, topic: Topic, prepare: str = "", *, sums: bool = False
) -> Run:
    """Run a program once, in a fresh database and a group of its own.

    Args:
        stage, program, topic: what to run.
        prepare: a statement for that database.
        sums: wait for the sales sums afterwards, and hold them against the rows.
    """
    with stage.database() as url:
        if prepare:
            with closing(connect(url)) as database, database.cursor() as table:
                table.execute(prepare)
        return run_in(stage, url, program, topic, sums=sums)


def run_in(stage: Stage, url: str, program: Program, topic: Topic, *, sums: bool = False) -> Run:
    """The same in a database that is there; rows that it has already stay out of everything."""
    # Nothing is looked for that it does not store.
    if Lack.FORGETS in program.lacks:
        topic = replace(topic, expected=replace(topic.expected, dropped=0))
    name = f"run-{next(_numbers)}"
    scratch = stage.folder / name
    scratch.mkdir()
    with closing(connect(url)) as database, database.cursor() as table:
        after = newest(table)
    job = Job(stage.broker.bootstrap, topic.name, name, url, program.batch, scratch)
    started = time.monotonic()
    processes = program.start(job)
    try:
        watch = Watch(stage, processes, url, program.batch, after)
        found = watch.run(program.name, topic, started, sums=sums)
        if not found.wrong:
            return found
        kept = _keep(processes[0].log, f"{topic.name}-{name}")
        return replace(found, wrong=f"{found.wrong} (see {kept.relative_to(ROOT)})")
    finally:
        for process in processes:
            process.kill()


def _keep(log: Path, name: str) -> Path:
    """Copy a program's log out of the run's folder, which is removed."""
    kept = BENCH / "logs" / f"{name}.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(log, kept)
    return kept


class Watch:
    """Looks at the table and at what everyone costs, until a topic's rows are all there.

    Where none of its events is a row, dead letters are looked at in place of rows.

    Args:
        processes: the program's; they must be running.
        url: of the database.
        warm_up: rows that are stored before it is measured.
        after: the newest row's id before the program started.
    """

    def __init__(
        self,
        stage: Stage,
        processes: Sequence[Process],
        url: str,
        warm_up: int = 0,
        after: int = 0,
    ) -> None:
        self._processes = processes
        self._url = url
        self._warm_up = warm_up
        self._after = after
        self._program = Meter(process.pid for process in processes)
        self._meters = (
            self._program,
            Meter([stage.broker.pid or 0]),
            Meter([stage.server.pid or 0]),
        )
        self._moments: list[Moment] = []
        self._memory: list[tuple[float, int]] = []
        self._table = "flash_sale_events"

    def run(self, name: str, topic: Topic, started: float, *, sums: bool = False) -> Run:
        """Watch until the topic's rows are stored, or nothing moves any more."""
        total = topic.expected.rows
        if not total:
            self._table, self._after, total = "dead_letters", 0, topic.expected.dropped
        behind, catching_up = 0, 0.0
        with closing(connect(self._url)) as database, database.cursor() as table:
            wrong = self._until_done(table, total)
            if sums and self._moments:
                behind = self._moments[-1].newest - self._moments[-1].summed_to
                catching_up = self._until_summed(table) - self._moments[-1].at
                wrong = ", ".join(filter(None, (wrong, check_sums(table))))
            wrong = ", ".join(filter(None, (wrong, check(table, topic.expected, self._after))))
            growth = self._growth(table)
        low, high = (int(share * total) for share in STEADY)
        begin, rows_before = _reaching(growth, max(low, self._warm_up))
        end, rows_after = _reaching(growth, high)
        return Run(
            program=name,
            events=topic.events,
            first_row=self._moments[0].at - started if self._moments else 0.0,
            last_row=self._moments[-1].at - started if self._moments else 0.0,
            steady=(rows_after - rows_before) * topic.events / total,
            seconds=end.at - begin.at,
            cpu=end.cpu - begin.cpu,
            cpu_broker=end.cpu_broker - begin.cpu_broker,
            cpu_database=end.cpu_database - begin.cpu_database,
            peak_memory=self._program.peak_memory,
            wrong=wrong,
            summed=end.summed_to - begin.summed_to,
            behind=behind,
            catching_up=catching_up,
            memory=[(at - started, used) for at, used in self._memory],
            growth=[(moment.at - started, rows) for moment, rows in growth],
        )

    def _until_done(self, table: Any, rows: int) -> str:
        last, moved = self._after, time.monotonic()
        while True:
            now = time.monotonic()
            if not self._memory or now - self._memory[-1][0] > 1:
                self._memory.append((now, self._program.memory()))
            # Counting is dear; the newest id is cheap, and may leave gaps.
            found = newest(table, self._table)
            if found != last:
                last, moved = found, now
                ours, broker, database = (meter.cpu() for meter in self._meters)
                moment = Moment(now, found, ours, broker, database, summed_to(table))
                self._moments.append(moment)
            elif last - self._after >= rows and now - moved > QUIET and self._count(table) >= rows:
                return ""
            elif now - moved > STALL_TIMEOUT:
                return f"nothing new for {STALL_TIMEOUT} s"
            if any(process.exit_code is not None for process in self._processes):
                return "it ended by itself"
            time.sleep(TICK)

    def _count(self, table: Any) -> int:
        return count(table, self._after, name=self._table)

    def _until_summed(self, table: Any) -> float:
        """When every row was in the sums, or nothing more came into them for too long."""
        last, moved = -1, time.monotonic()
        while (found := summed_to(table)) < newest(table):
            now = time.monotonic()
            if found != last:
                last, moved = found, now
            elif now - moved > STALL_TIMEOUT:
                break
            time.sleep(TICK)
        return time.monotonic()

    def _growth(self, table: Any) -> list[tuple[Moment, int]]:
        """Each moment with the rows stored by then; afterwards, because counting is dear."""
        growth, rows, last = [], 0, self._after
        for moment in self._moments:
            rows += count(table, last, moment.newest, self._table)
            last = moment.newest
            growth.append((moment, rows))
        return growth


def _reaching(growth: list[tuple[Moment, int]], rows: int) -> tuple[Moment, int]:
    """The first moment at which so many rows were stored, or the last of all."""
    none = Moment(0.0, 0, 0.0, 0.0, 0.0, 0), 0
    return next((one for one in growth if one[1] >= rows), growth[-1] if growth else none)


_numbers = itertools.count(1)
