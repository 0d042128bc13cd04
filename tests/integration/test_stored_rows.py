"""Rows as the job's driver stored them on that kind of server, by every way of storing rows."""

from sqlalchemy import select, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import is_mariadb
from db.schema.sales_tables import flash_sale_events, rollup_minutes
from db.write.writer import Writer
from models.rules import transform
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.contract.test_cases import load
from tests.helpers.accounts import dba
from tests.helpers.sink import NOW, dead_letter_rows, event, record
from tests.helpers.sums import settle

CASES = load("stored_cases.jsonl")

#: A FLOAT as it is: as itself it is shown with six digits.
ROWS = text(
    "SELECT event_id, user_id, product_id, category, event_type, price * 1e0 AS price, quantity,"
    " revenue * 1e0 AS revenue, CAST(ts AS CHAR) AS ts FROM flash_sale_events ORDER BY id"
)


def answers(engine):
    """What each case becomes on this kind of server: a row, or None."""
    with engine.connect() as connection:
        kind = "mariadb" if is_mariadb(connection) else "mysql"
    found = [case.get("here", case[kind]) for case in CASES]
    return [answer if isinstance(answer, dict) else None for answer in found]


def write(engine, values):
    records = [record(n, value) for n, value in enumerate(values)]
    Writer(engine, "g", FLASH_SALES, "w").write(
        1, NOW, [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)]
    )


def assert_rows(engine, expected):
    """As text, because there -0.0 differs from 0.0."""
    with engine.connect() as connection:
        found = [dict(row) for row in connection.execute(ROWS).mappings()]
    named = [case["case"] for case, answer in zip(CASES, answers(engine), strict=True) if answer]
    for name, one, row in zip(named, found, expected, strict=True):
        assert str(one) == str(row), name


def good(engine):
    """Values of the cases that become rows, and those rows."""
    answered = zip(CASES, answers(engine), strict=True)
    found = [(case["value"].encode(), row) for case, row in answered if row]
    return [value for value, _ in found], [row for _, row in found]


def test_by_values(begun, inserts_only, ways):
    values, rows = good(begun)
    write(begun, values)
    assert_rows(begun, rows)
    assert set(ways) == {"values"}


def test_by_leaving_a_row_out(proving, begun, inserts_only, ways):
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events ADD CHECK (category <> 'bad')"))
    values, rows = good(begun)
    write(begun, [*values, event(1, category="bad")])
    assert_rows(begun, rows)
    assert "ignore" in ways


def test_by_loading(proving, begun, ways):
    values, rows = good(begun)
    write(begun, values)
    assert_rows(begun, rows)
    assert set(ways) == {"load"}


def test_what_the_job_could_not_store_is_a_dead_letter(begun):
    write(begun, [case["value"].encode() for case in CASES])
    expected = answers(begun)
    assert_rows(begun, [row for row in expected if row])
    letters = dead_letter_rows(begun)
    refused = [n for n, row in enumerate(expected) if row is None]
    assert sorted(letter.kafka_offset for letter in letters) == refused
    for letter in letters:
        # Kafka no longer has the originals here: some values are made from their rows.
        case = CASES[letter.kafka_offset]
        assert transform(letter.value) == transform(case["value"].encode()), case["case"]


def test_a_column_with_microseconds_keeps_them(begun):
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY ts DATETIME(6) NULL"))
    times = ["10:15:30.5", "23:59:59.9999999", "10:15:30.000001Z", "10:15:30"]
    write(begun, [event(n, timestamp=f"2026-12-31 {time}") for n, time in enumerate(times)])
    with begun.connect() as connection:
        found = connection.scalars(text("SELECT CAST(ts AS CHAR) FROM flash_sale_events")).all()
    kept = ["10:15:30.500000", "23:59:59.999999", "10:15:30.000001", "10:15:30.000000"]
    assert found == [f"2026-12-31 {time}" for time in kept]


def test_sums_are_of_the_minutes_stored(begun):
    times = ["10:15:59.5", "10:59:59.999", "23:59:59.75", "10:16:00"]
    write(begun, [event(n, timestamp=f"2026-12-31 {time}") for n, time in enumerate(times)])
    settle(begun)
    with begun.connect() as connection:
        stored = connection.scalars(select(flash_sale_events.c.ts)).all()
        summed = connection.scalars(select(rollup_minutes.c.minute)).all()
    assert set(summed) == {ts.replace(second=0) for ts in stored}
