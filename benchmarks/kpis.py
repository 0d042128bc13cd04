"""``python -m benchmarks.kpis``: what keeping sums costs an insert, and how soon views answer.

Every way of keeping them stores the same rows in a private MariaDB. Measured is the processor
time of the server, which other work on the machine disturbs less than the clock.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, make_url, text

from db.engine import connect
from db.rows import STATEMENT_BYTES, insert_rows
from db.sales import add_sales
from db.tables import batches
from db.upgrade import migrate
from db.writer import ledger_line, summary
from local.mariadb import MariaDB
from local.processes import Folder
from local.simulator import events
from models.sales import Sales
from pipeline.chunk import Chunk

#: Events of a fetch, fetches of a batch, and fetches made before they are used again.
FETCH, BATCH, POOL = 2000, 10, 400
DAY = 86_400
_TICKS = os.sysconf("SC_CLK_TCK")

#: What a view is asked on a page or in a report.
QUESTIONS = {
    "revenue per minute, all": "SELECT * FROM sales_per_minute ORDER BY minute",
    "top 10 products, all": "SELECT * FROM sales_per_product ORDER BY revenue DESC LIMIT 10",
    "by category": "SELECT * FROM sales_per_category ORDER BY revenue DESC",
    "funnel": "SELECT * FROM funnel",
    "data quality per hour": "SELECT * FROM data_quality_per_hour",
    "for comparison, the rows themselves": (
        "SELECT product_id, SUM(revenue) AS revenue FROM flash_sale_events "
        "WHERE event_type = 'purchase' GROUP BY product_id ORDER BY revenue DESC LIMIT 10"
    ),
}

Keep = Callable[[Connection, Sequence[Chunk]], None]


def _nothing(connection: Connection, chunks: Sequence[Chunk]) -> None:
    """Rows alone."""


def _sums(connection: Connection, chunks: Sequence[Chunk]) -> None:
    """Sums made while transforming, added in one statement a table."""
    session = connection.scalar(text("SELECT CONNECTION_ID()"))
    add_sales(connection, chunks, shard=0, session=session)


_BY_PRODUCT = (
    "INSERT INTO sales_by_product (hour, product_id, category, shard, orders, units, revenue) "
    "SELECT COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:00:00'), '1000-01-01') AS h, "
    "COALESCE(product_id, '') AS p, category AS c, 0, COUNT(*), SUM(quantity), SUM(revenue) "
    "FROM {source} WHERE event_type = 'purchase' GROUP BY h, p, c "
    "ON DUPLICATE KEY UPDATE orders = sales_by_product.orders + VALUES(orders)"
)
_BY_MINUTE = (
    "INSERT INTO sales_by_minute "
    "(minute, shard, views, carts, purchases, others, units, revenue) "
    "SELECT COALESCE(DATE_FORMAT(ts, '%Y-%m-%d %H:%i:00'), '1000-01-01') AS m, 0, "
    "SUM(event_type <=> 'view'), SUM(event_type <=> 'add_to_cart'), "
    "SUM(event_type <=> 'purchase'), 0, SUM(quantity), SUM(revenue) "
    "FROM {source} GROUP BY m "
    "ON DUPLICATE KEY UPDATE purchases = sales_by_minute.purchases + VALUES(purchases)"
)


def _over_ids(connection: Connection, chunks: Sequence[Chunk]) -> None:
    """SQL over the ids just inserted."""
    rows = sum(chunk.valid for chunk in chunks)
    last = connection.scalar(text("SELECT MAX(id) FROM flash_sale_events"))
    new = f"id > {int(last or 0) - rows}"
    source = f"(SELECT * FROM flash_sale_events WHERE {new}) AS r"  # noqa: S608
    for statement in (_BY_MINUTE, _BY_PRODUCT):
        connection.execute(text(statement.replace("%i:", r"%i\:").format(source=source)))


_JSON = (
    "JSON_TABLE(:rows, '$[*]' COLUMNS (product_id VARCHAR(50) CHARACTER SET utf8mb4 PATH '$[2]', "
    "category VARCHAR(50) CHARACTER SET utf8mb4 PATH '$[3]', event_type VARCHAR(20) PATH '$[4]', "
    "quantity BIGINT PATH '$[6]', revenue DOUBLE PATH '$[7]', ts VARCHAR(30) PATH '$[8]')) AS r"
)


def _over_json(connection: Connection, chunks: Sequence[Chunk]) -> None:
    """SQL over the rows' JSON, taken apart once more."""
    lines = b"\n".join(chunk.rows for chunk in chunks).decode()
    rows = "[" + lines.replace("\n", ",") + "]"
    for statement in (_BY_MINUTE, _BY_PRODUCT):
        prepared = text(statement.replace("%i:", r"%i\:").format(source=_JSON))
        connection.execute(prepared, {"rows": rows})


@dataclass(frozen=True)
class Way:
    """One way of keeping sums."""

    name: str
    keep: Keep = _nothing
    index: str = ""


WAYS = (
    Way("rows alone"),
    Way("sums from the worker", _sums),
    Way("sums in SQL over the new ids", _over_ids),
    Way("sums in SQL over the JSON", _over_json),
    Way("an index for sums", index="(event_type, ts, product_id, revenue)"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kpis", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="for each way (%(default)s)")
    parser.add_argument("--view-rows", type=int, default=10_000_000, help="under the views")
    options = parser.parse_args()
    chunks = list(_chunks())
    print(f"in the worker: {_worker_cost(chunks):.2f} µs an event for its sums\n")
    with Folder("kpis") as folder, MariaDB(folder / "mariadb") as server:
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
        records = [_Record(n, event.value) for n, event in enumerate(islice(source, FETCH))]
        yield Chunk.transform("t", 0, 0, FETCH, records)


@dataclass(frozen=True)
class _Record:
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int | None = None


def _worker_cost(chunks: Sequence[Chunk]) -> float:
    decode = msgspec.json.Decoder(list[Any]).decode_lines
    some = [decode(chunk.rows) for chunk in chunks[:50]]
    begun = time.process_time()
    total = Sales()
    for rows in some:
        total.add(Sales.of(rows))
    total.by_minute()
    total.by_product()
    return (time.process_time() - begun) / sum(map(len, some)) * 1e6


def _name(way: Way) -> str:
    return f"ways_{WAYS.index(way)}"


def _database(server: MariaDB, way: Way) -> Engine:
    url = server.create_database(_name(way))
    engine = connect(make_url(url).set(drivername="mysql+pymysql"))
    migrate(engine)
    if way.index:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE INDEX sums ON flash_sale_events {way.index}"))
    return engine


def _insert(
    server: MariaDB, engine: Engine, way: Way, chunks: Sequence[Chunk], wanted: int
) -> tuple[float, float]:
    """Insert about so many rows; answers µs a row, of the server and by the clock."""
    done = 0
    cpu, clock = _cpu(server), time.monotonic()
    supply = cycle(chunks)
    numbers = count(1)
    while batch := list(islice(supply, BATCH)):
        with engine.begin() as connection:
            session = connection.scalar(text("SELECT CONNECTION_ID()"))
            insert_rows(connection, batch, STATEMENT_BYTES, session)
            way.keep(connection, batch)
            line = summary(next(numbers), datetime.now(UTC), batch, 0.1)
            connection.execute(insert(batches), ledger_line(line, "g", "w"))
        done += sum(chunk.valid for chunk in batch)
        if done >= wanted:
            break
    return (_cpu(server) - cpu) / done * 1e6, (time.monotonic() - clock) / done * 1e6


def _cpu(server: MariaDB) -> float:
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
