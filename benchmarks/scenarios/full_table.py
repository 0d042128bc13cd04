"""The rate beside the rows that the table has already, and beside an index on their time."""

import shutil
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

from sqlalchemy import make_url

from benchmarks.measuring.programs import OURS
from benchmarks.measuring.runs import Run, run, run_in
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import connect, count, newest
from benchmarks.reports import report
from benchmarks.scenarios.rounds import as_json, table
from benchmarks.traffic.mixes import many_products
from dev.servers.processes import StartError
from models.fields import ROW_NAMES

#: Rows in the table before a run, and events of a run.
SIZES = (0, 10_000_000, 100_000_000)
EVENTS = 1_000_000
#: What reports by time ask for, and the app's own table has not.
INDEX = "ALTER TABLE flash_sale_events ADD INDEX (ts)"
#: Rows copied by one statement.
PORTION = 250_000
#: Bytes of the disk that stay free.
RESERVE = 5 * 2**30

#: Copies have ids as long as the real ones, and different from them and from each other.
_COLUMNS = ", ".join(ROW_NAMES)
_COPIED = ", ".join(
    "CONCAT('old-', LPAD(SUBSTR(event_id, 5) + %s, 9, '0'))" if name == "event_id" else name
    for name in ROW_NAMES
)
COPY = (
    f"INSERT INTO flash_sale_events ({_COLUMNS}) "  # noqa: S608 - names of our own
    f"SELECT {_COPIED} FROM flash_sale_events WHERE id > %s AND id <= %s LIMIT %s"
)
#: Tells the roll-up that every row is in the sums: it would sum copies during the run otherwise.
SUMMED = """
UPDATE rollup_state, (SELECT id, CRC32(event_id) AS checksum FROM flash_sale_events
    ORDER BY id DESC LIMIT 1) AS newest
SET last_id = newest.id, mark_id = newest.id, last_checksum = newest.checksum,
    marked_at = CURRENT_TIMESTAMP(3), complete_at = CURRENT_TIMESTAMP(3)
"""


def full_table(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Runs into a table that is empty, into one that has more and more rows, then an index too."""
    # A tenth of the rows is enough for the full number of events. None is dropped: the runs share
    # a database, and all of its dead letters count.
    topic = stage.topic(int(EVENTS * min(1.0, 10 * scale)), many_products)
    sizes = [int(size * scale) for size in SIZES]
    # Without another index, but for the last one.
    sizes.append(sizes[-1])
    programs = [replace(OURS, name=f"{size:,} rows") for size in sizes]
    programs[-1] = replace(OURS, name=f"{programs[-1].name}, an index on ts")
    # Of those that begin without rows the last one's are copied.
    columns = [[_said(run(stage, programs[0], topic)) for _ in range(rounds - 1)]]
    files, left_out = [], []
    with stage.database() as url:
        columns[0].append(_said(run_in(stage, url, programs[0], topic)))
        if wrong := columns[0][-1].wrong:
            raise StartError(f"There are no rows to copy: {wrong}")
        growing = _GrowingTable(stage, url)
        files.append(growing.bytes)
        for size, program in zip(sizes[1:], programs[1:], strict=True):
            if lacking := growing.lacks_room_for(size):
                left_out.append(f"{program.name} are left out: {lacking}.")
                continue
            column = []
            if program is programs[-1]:
                growing.index()
            for _ in range(rounds):
                growing.grow(size)
                column.append(_said(run_in(stage, url, program, topic)))
            columns.append(column)
            files.append(growing.bytes)
    done = [list(one) for one in zip(*columns, strict=True)]
    rows = [
        [column[0].program, f"{size / 1e9:.1f}"]
        for column, size in zip(columns, files, strict=True)
    ]
    sizes_on_disk = report.table(["", "table on disk after the runs (GB)"], rows)
    return "\n\n".join([table(done), sizes_on_disk, *left_out]), as_json(done)


def _said(one: Run) -> Run:
    print(report.line(one), file=sys.stderr, flush=True)
    return one


class _GrowingTable:
    """The events table of a database, whose rows, from one run, are copied until there are enough.

    It has the indexes that it has by default, until it gets one more.
    """

    def __init__(self, stage: Stage, url: str) -> None:
        self._url = url
        self._file = (
            stage.server.folder / "data" / (make_url(url).database or "") / "flash_sale_events.ibd"
        )
        with closing(connect(url)) as database, database.cursor() as rows:
            self._originals = newest(rows)
            self._first_rows = count(rows)
        self._first_bytes = self.bytes
        self._passes = 0

    @property
    def bytes(self) -> int:
        """Bytes of its file."""
        return self._file.stat().st_size

    def lacks_room_for(self, size: int) -> str:
        """Why the disk is too small for so many rows; empty when it is not."""
        needed = int(size * self._first_bytes / self._first_rows) + RESERVE
        free = shutil.disk_usage(self._file).free + self.bytes
        if free >= needed:
            return ""
        return f"they need {needed / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free"

    def index(self) -> None:
        """Add what reports by time ask for."""
        begun = time.monotonic()
        with closing(connect(self._url)) as database, database.cursor() as rows:
            rows.execute(INDEX)
        print(
            f"An index on ts after {time.monotonic() - begun:.0f} s.", file=sys.stderr, flush=True
        )

    def grow(self, size: int) -> None:
        """Copy rows until there are so many, pass them off as summed, have all on disk."""
        with closing(connect(self._url)) as database, database.cursor() as rows:
            # Originals need not be locked: nobody changes them.
            rows.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            missing, begun = size - count(rows), time.monotonic()
            while missing > 0:
                self._passes += 1
                shift = self._passes * EVENTS
                for low in range(0, self._originals, PORTION):
                    high = min(low + PORTION, self._originals)
                    missing -= rows.execute(COPY, (shift, low, high, max(0, missing)))
            rows.execute(SUMMED)
            # Writes every changed page, which the run would have to wait for otherwise.
            rows.execute("FLUSH TABLES flash_sale_events FOR EXPORT")
            rows.execute("UNLOCK TABLES")
        took = time.monotonic() - begun
        print(f"{size:,} rows are there, after {took:.0f} s.", file=sys.stderr, flush=True)
