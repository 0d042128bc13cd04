"""``python -m benchmarks.kpis``: what keeping sums costs an insert, and how soon views answer.

Every way of keeping them stores the same rows in a private MariaDB. Measured is the processor
time of the server, which other work on the machine disturbs less than the clock.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle, islice
from pathlib import Path

from sqlalchemy import Engine, insert, make_url, text

from agents.flash_sales import FLASH_SALES
from commands.traffic.simulator import events
from db.connection.engine import connect
from db.connection.session import Transaction
from db.rollup.rounds import Rollup
from db.schema.tables import batches
from db.schema.upgrade import migrate
from db.write.row_store import RowStore
from db.write.writer import ledger_line
from dev.servers.database import DatabaseServer, private_server
from dev.servers.processes import Folder
from pipeline.batch import Batch
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord

#: Events of a fetch, fetches of a batch, and fetches made before they are used again.
FETCH, BATCH, POOL = 2000, 10, 400
#: Batches after which the roll-up sums them: as many as a busy worker writes in its interval.
ROUND = 25
DAY = 86_400
_TICKS = os.sysconf("SC_CLK_TCK")

#: What a view is asked on a page or in a report.
QUESTIONS = {
    "revenue per minute, all": "SELECT * FROM sales_per_minute ORDER BY minute",
    "top 10 products, all": "SELECT * FROM sales_per_product ORDER BY revenue DESC LIMIT 10",
    "by category": "SELECT * FROM sales_per_category ORDER BY revenue DESC",
    "by category and minute, all": "SELECT * FROM sales_per_category_minute ORDER BY minute",
    "funnel": "SELECT * FROM funnel",
    "data quality per hour": "SELECT * FROM data_quality_per_hour",
    "for comparison, the rows themselves": (
        "SELECT product_id, SUM(revenue) AS revenue FROM flash_sale_events "
        "WHERE event_type = 'purchase' GROUP BY product_id ORDER BY revenue DESC LIMIT 10"
    ),
}


@dataclass(frozen=True)
class Way:
    """One way of having sums: nothing, the roll-up beside the inserts, or an index to sum over."""

    name: str
    sums: bool = False
    index: str = ""


WAYS = (
    Way("rows alone"),
    Way("the roll-up", sums=True),
    Way("an index for sums", index="(event_type, ts, product_id, revenue)"),
    Way("an index on ts", index="(ts)"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kpis", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="for each way (%(default)s)")
    parser.add_argument("--view-rows", type=int, default=10_000_000, help="under the views")
    options = parser.parse_args()
    chunks = list(_chunks())
    with Folder("kpis") as folder, private_server(folder / "mariadb") as server:
        for way in WAYS:
            engine = _database(server, way)
            cost, clock = _insert(server, engine, way, chunks, options.rows)
            print(f"{way.name:30} {cost:6.2f} µs of server a row, {clock:6.2f} by the clock")
            server.drop_database(_name(way))
            engine.dispose()
        way = WAYS[1]
        engine = _database(server, way)
        _insert(server, engine, way, chunks, options.view_rows)
        print(f"\non {options.view_rows} rows")
        for name, question in QUESTIONS.items():
            print(f"{name:36} {min(_ask(engine, question) for _ in range(3)):8.1f} ms")
        engine.dispose()


def _chunks() -> Iterator[Chunk]:
    """A day's traffic in fetches, each at a moment of its own."""
    now = time.time() - DAY
    for number in range(POOL):
        moment = now + number * DAY / POOL
        source = events(number, bad=0.02, clock=lambda moment=moment: moment)  # type: ignore[misc]
        records = [PlainRecord(n, event.value) for n, event in enumerate(islice(source, FETCH))]
        yield Chunk.transform(FLASH_SALES, Partition("t", 0), 0, FETCH, records)


def _name(way: Way) -> str:
    return f"ways_{WAYS.index(way)}"


def _database(server: DatabaseServer, way: Way) -> Engine:
    url = server.create_database(_name(way))
    engine = connect(make_url(url).set(drivername="mysql+pymysql"))
    migrate(engine)
    if way.index:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE INDEX sums ON flash_sale_events {way.index}"))
    return engine


def _insert(
    server: DatabaseServer, engine: Engine, way: Way, chunks: Sequence[Chunk], wanted: int
) -> tuple[float, float]:
    """Insert about so many rows; answers µs a row, of the server and by the clock."""
    done = 0
    cpu, clock = _cpu(server), time.monotonic()
    supply = cycle(chunks)
    rows = RowStore()
    rollup = Rollup(engine, 0)
    for number in count(1):
        batch = list(islice(supply, BATCH))
        with engine.begin() as connection:
            session = connection.scalar(text("SELECT CONNECTION_ID()")) or 0
            rows.store(Transaction(connection, FLASH_SALES, session, 1 << 24), batch)
            line = Batch.of(FLASH_SALES, number, datetime.now(UTC), batch, 0.1)
            connection.execute(insert(batches), ledger_line(line, "g", "w"))
        done += sum(chunk.valid for chunk in batch)
        if way.sums and (done >= wanted or number % ROUND == 0):
            while rollup.step().behind:
                pass
        if done >= wanted:
            break
    return (_cpu(server) - cpu) / done * 1e6, (time.monotonic() - clock) / done * 1e6


def _cpu(server: DatabaseServer) -> float:
    """Seconds of processor time of the server so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _ask(engine: Engine, question: str) -> float:
    with engine.connect() as connection:
        begun = time.monotonic()
        connection.execute(text(question)).all()
        return (time.monotonic() - begun) * 1000


if __name__ == "__main__":
    main()
