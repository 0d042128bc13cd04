"""Sums by category and minute add up to those without category, whatever a category is."""

import datetime
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from db.rollup import rounds
from db.rollup.rounds import Rollup
from db.rollup.sums import TABLES, add_sums
from db.schema.upgrade import migrate
from db.write.offsets import OffsetStore
from pipeline.partition import Partition
from tests.helpers.accounts import dba, owner
from tests.helpers.old_schema import bring_to
from tests.helpers.sales import write
from tests.helpers.sums import assert_sums_true, settle

#: What collations, trailing spaces, cut keys or narrow character sets would make the same.
ODD = [
    "",
    " ",
    "c",
    "C",
    "c ",
    "c\t",
    "ç",
    "ss",
    "ß",
    "Å",
    "A\u030a",
    "unknown",
    "🛒",
    "🛒🛒",
    "\0",
]
LONG = ["x" * 255, "x" * 256, "x" * 255 + "🛒", "🛒" * 255, "🛒" * 300, "🛒" * 299 + "x"]
PLAIN = st.text(max_size=20).filter(str.isprintable)
CATEGORIES = st.none() | st.sampled_from(ODD + LONG) | PLAIN
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "category": CATEGORIES,
            "product": st.sampled_from([None, "p", "P", "p "]),
            "kind": st.sampled_from(["purchase", "purchase", "view", "Purchase"]),
            "quantity": st.none() | st.integers(-3, 9),
            # A double adds such numbers without an error, in any order.
            "revenue": st.none() | st.integers(-(10**6), 10**6).map(lambda n: n / 4),
            "ts": st.none() | st.integers(0, 9).map(lambda n: f"2026-11-27 10:0{n % 5}:{n}"),
        }
    ),
    max_size=40,
)
INSERT = text(
    "INSERT INTO flash_sale_events (event_id, category, product_id, event_type, quantity, revenue,"
    " ts) VALUES ('e', :category, :product, :kind, :quantity, :revenue, :ts)"
)


def sums(engine, table, keys):
    with owner(engine).connect() as connection:
        columns = "purchases" if table == "rollup_minutes" else "SUM(orders)"
        units = "units, revenue" if table == "rollup_minutes" else "SUM(units), SUM(revenue)"
        grouped = "" if table == "rollup_minutes" else f"GROUP BY {keys}"
        return {
            tuple(row[:-3]): tuple(row[-3:])
            for row in connection.execute(
                text(
                    f"SELECT {keys}, {columns}, {units} FROM {table} WHERE generation ="
                    f" (SELECT shown FROM rollup_state) {grouped}"
                )
            )
            if row[-3]
        }


def test_categories_add_up_to_the_minutes(begun):
    with dba(begun).begin() as connection:
        connection.execute(
            text(
                "ALTER TABLE flash_sale_events MODIFY category VARCHAR(300), MODIFY revenue DOUBLE"
            )
        )

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(ROWS)
    def add_up(rows):
        if rows:
            with begun.begin() as connection:
                connection.execute(INSERT, rows)
        settle(begun)
        by_category = sums(begun, "rollup_categories", "minute")
        assert by_category == sums(begun, "rollup_minutes", "minute")
        assert sums(begun, "rollup_categories", "category") == sums(
            begun, "rollup_products", "category"
        )

    add_up()
    with begun.connect() as connection:
        found = connection.scalar(text("SELECT COUNT(*) FROM rollup_categories"))
        assert found == connection.scalar(
            text(
                "SELECT COUNT(*) FROM (SELECT 1 FROM flash_sale_events"
                " WHERE CAST(event_type AS BINARY) = 'purchase' GROUP BY"
                " TO_SECONDS(ts) DIV 60, CAST(COALESCE(category, '') AS BINARY)) AS grouped"
            )
        )


def old_round(engine):
    """What the roll-up of the previous version does to the tables it knows."""
    with engine.begin() as connection:
        state = connection.execute(text("SELECT * FROM rollup_state FOR UPDATE")).one()
        newest = connection.scalar(text("SELECT MAX(id) FROM flash_sale_events"))
        session = connection.scalar(text("SELECT CONNECTION_ID()"))
        add_sums(connection, state.last_id, newest, state.generation, session, TABLES[:2])
        connection.execute(
            text(
                "UPDATE rollup_state SET last_id = :newest, mark_id = :newest, last_checksum = NULL"
            ),
            {"newest": newest},
        )


def test_old_workers_beside_new_ones_sum_nothing_twice(empty, monkeypatch):
    monkeypatch.setattr(rounds, "PORTION", 20)
    monkeypatch.setattr(rounds, "SMALLEST", 7)
    monkeypatch.setattr(rounds, "LARGEST", 40)
    bring_to(empty, "0007")
    OffsetStore(empty, "g").begin({Partition("t", 0): 0})
    for number in range(10):
        write(empty, number)
    old_round(empty)
    migrate(empty)
    write(empty, 10)
    old_round(empty)
    rollup = Rollup(empty, 0)
    before = rollup.progress().categories_behind
    rollup.step()
    assert 0 < before - rollup.progress().categories_behind < before, "added in portions"
    write(empty, 11)
    old_round(empty)
    write(empty, 12)
    settle(empty)
    assert rollup.progress().categories_behind == 0
    assert_sums_true(empty)
    # Rolled back, and out again.
    write(empty, 13)
    old_round(empty)
    settle(empty)
    assert_sums_true(empty)


def test_sums_stay_equal_while_rows_come_in(begun):
    rollup = Rollup(begun, 0)
    seen: Counter[int] = Counter()
    for number in range(4):
        write(begun, number)
        for _ in range(2):
            rollup.step()
            minutes = sums(begun, "rollup_minutes", "minute")
            assert sums(begun, "rollup_categories", "minute") == minutes
            seen[len(minutes)] += 1
    assert len(seen) > 2


def test_purged_minutes_have_no_categories(begun):
    write(begun, 0, size=100)
    settle(begun)
    *_, categories = Rollup(begun, 0).purge(datetime.datetime(2026, 11, 27, 1, 30))
    assert categories > 5
    assert sums(begun, "rollup_categories", "minute") == sums(begun, "rollup_minutes", "minute")
