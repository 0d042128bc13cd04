"""``python -m benchmarks.inserts``: ways of getting the same rows into the table, by themselves.

Each writes the same rows in the same batches, one transaction each, on one connection, and is
charged with the time, the server's processor time and its own, all per row.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from statistics import median
from typing import Any, cast

import msgspec
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from agents.flash_sales import FLASH_SALES
from benchmarks.measuring.meter import Meter
from benchmarks.measuring.stage import database_server
from benchmarks.measuring.table import connect
from benchmarks.traffic.mixes import sale
from benchmarks.traffic.topics import numbered
from db.connection.driver import install, send_lines
from db.schema.sales_tables import ROW_COLUMNS, flash_sale_events
from db.write.insert_values import insert_statement
from db.write.lenient import load_statement, loadable
from db.write.row_store import INSERT_BYTES, pieces
from dev.servers.processes import Folder
from models.fields import ROW_FIELDS
from models.rules import Rejection, Row, transform

BATCH = 20_000
_COLUMNS = ", ".join(ROW_COLUMNS)
_WIDE = {float: "DOUBLE", int: "BIGINT"}
_NUMBERS = {field.name: _WIDE[field.kind] for field in ROW_FIELDS if field.kind in _WIDE}
_TABLE = str(CreateTable(flash_sale_events).compile(dialect=mysql.dialect()))
_MODE = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_BACKSLASH_ESCAPES"

Way = Callable[[Any, Sequence[Row]], object]


def _json_table(path: Callable[[int, str], str], text: str = "VARCHAR(1000)") -> str:
    columns = ", ".join(
        f"{name} {_NUMBERS.get(name, f'{text} CHARACTER SET utf8mb4')} "
        f"PATH '{path(place, name)}' ERROR ON ERROR"
        for place, name in enumerate(ROW_COLUMNS)
    )
    return (
        f"INSERT INTO flash_sale_events ({_COLUMNS}) SELECT {_COLUMNS} "
        f"FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) r"
    )


_ARRAYS = _json_table(lambda place, _: f"$[{place}]")
_OBJECTS = _json_table(lambda _, name: f"$.{name}")
_NARROW = _json_table(lambda place, _: f"$[{place}]", "VARCHAR(60)")
_VALUES = (
    f"INSERT INTO flash_sale_events ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(ROW_COLUMNS))})"
)


_encode_lines = msgspec.json.Encoder().encode_lines


def _text(rows: Any) -> str:
    return msgspec.json.encode(rows).decode()


def _arrays(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.execute(_ARRAYS, (_text(rows),))


def _long_numbers(cursor: Any, rows: Sequence[Row]) -> None:
    long = [
        [value * (1 + 1e-15) if isinstance(value, float) else value for value in row]
        for row in rows
    ]
    cursor.execute(_ARRAYS, (_text(long),))


def _narrow(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.execute(_NARROW, (_text(rows),))


def _objects(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.execute(_OBJECTS, (_text([dict(zip(ROW_COLUMNS, row, strict=True)) for row in rows]),))


def _executemany(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.executemany(_VALUES, rows)


def _values(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.execute("SELECT CONNECTION_ID()")
    [session] = cursor.fetchone()
    for piece in pieces([_encode_lines(rows)[:-1]], lambda: INSERT_BYTES):
        cursor.execute(insert_statement(FLASH_SALES, piece, session))


def _with_escapes(way: Way, every: int) -> Way:
    """The way with a quotation mark in one user of so many: JSON escapes it."""

    def run(cursor: Any, rows: Sequence[Row]) -> None:
        some = [
            row if number % every else (row[0], f'"{row[1]}', *row[2:])
            for number, row in enumerate(rows)
        ]
        way(cursor, cast(Sequence[Row], some))

    return run


def _load(cursor: Any, rows: Sequence[Row]) -> None:
    cursor.execute("SELECT CONNECTION_ID()")
    [session] = cursor.fetchone()
    lines = loadable(_encode_lines(rows)[:-1])
    with send_lines(cursor.connection, lines, b"\n"):
        cursor.execute(load_statement(FLASH_SALES, session))
    assert not cursor.warning_count


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inserts")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = [
        transformed[0]
        for value, _, _ in islice(numbered(sale), options.rows)
        if not isinstance(transformed := transform(value), Rejection)
    ]
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with (
        Folder("inserts") as folder,
        database_server(folder / "database") as server,
    ):
        url = server.create_database("inserts")
        ways: dict[str, Way] = {
            "LOAD DATA LOCAL": _load,
            "LOAD DATA LOCAL, an escape in every row": _with_escapes(_load, 1),
            "VALUES": _values,
            "VALUES, an escape in one row of 20": _with_escapes(_values, 20),
            "VALUES, an escape in every row": _with_escapes(_values, 1),
            "JSON_TABLE over arrays": _arrays,
            "JSON_TABLE over arrays, an escape in every row": _with_escapes(_arrays, 1),
            "JSON_TABLE over arrays, numbers of 17 digits": _long_numbers,
            "JSON_TABLE over arrays, narrow columns": _narrow,
            "JSON_TABLE over objects": _objects,
            "executemany": _executemany,
        }
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        _connect(url).cursor().execute(_TABLE)
        for _ in range(options.rounds):
            for name, way in ways.items():
                results[name].append(_measure(url, server.pid or 0, way, batches))
        print("| way | rows/s | server µs/row | client µs/row |\n|---|---:|---:|---:|")
        for name, found in results.items():
            seconds, server_cpu, client_cpu = (
                median(column) for column in zip(*found, strict=True)
            )
            per_row = 1e6 / len(rows)
            print(
                f"| {name} | {len(rows) / seconds:,.0f} | {server_cpu * per_row:.2f} "
                f"| {client_cpu * per_row:.2f} |"
            )
    return 0


def _measure(
    url: str, pid: int, way: Way, batches: Sequence[Sequence[Row]]
) -> tuple[float, float, float]:
    connection = _connect(url)
    meter = Meter([pid])
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE flash_sale_events")
        began, server, client = time.perf_counter(), meter.cpu(), time.process_time()
        for batch in batches:
            way(cursor, batch)
            connection.commit()
        found = time.perf_counter() - began, meter.cpu() - server, time.process_time() - client
        cursor.execute("SELECT COUNT(*) FROM flash_sale_events")
        assert cursor.fetchone() == (sum(map(len, batches)),)
    connection.close()
    return found


def _connect(url: str) -> Any:
    install()
    mode = f"SET sql_mode = '{_MODE}', time_zone = '+00:00'"
    return connect(url, autocommit=False, local_infile=True, init_command=mode)


if __name__ == "__main__":
    sys.exit(main())
