"""Sums after ids that begin again, restored backups and purges, and what a rebuild does."""

from datetime import datetime

import pytest
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from db.rollup.rounds import Rollup
from db.write.writer import Writer
from tests.helpers.accounts import dba, owner
from tests.helpers.sales import chunk, event, shown, write
from tests.helpers.sink import NOW, stored_offsets
from tests.helpers.sums import assert_sums_true, settle


def test_a_database_restored_to_an_older_state_is_gone_on_from(begun):
    tables = [
        "flash_sale_events",
        "stream_offsets",
        "rollup_state",
        "rollup_minutes",
        "rollup_products",
        "rollup_categories",
        "batches",
    ]
    write(begun, 0)
    settle(begun)
    write(begun, 1)
    with dba(begun).begin() as connection:
        for table in tables:
            connection.execute(text(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}"))
    rollup = Rollup(begun, 0)
    write(begun, 2)
    settle(begun)
    with dba(begun).begin() as connection:
        for table in tables:
            connection.execute(text(f"DELETE FROM {table}"))
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
    assert rollup.step().summed_to == 10
    settle(begun)
    write(begun, 2)
    settle(begun)
    assert_sums_true(begun)
    assert stored_offsets(begun) == {0: 30, 1: 0}


@pytest.mark.parametrize("again", [1, 3])
def test_restarted_ids_stop_the_rollup_until_a_rebuild(begun, again):
    rollup = Rollup(begun, 0)
    write(begun, 0)
    write(begun, 1)
    settle(begun)
    before = shown(begun)
    with dba(begun).begin() as connection:
        connection.execute(text("TRUNCATE flash_sale_events"))
    assert rollup.step().error is None, "that there are no rows is no error"
    for number in range(2, 2 + again):
        write(begun, number)
    error = rollup.step().error
    assert error
    assert "run `faust -A app rollup rebuild`" in error
    assert shown(begun) == before
    rollup.rebuild()
    assert shown(begun) == before, "until the new sums are there"
    settle(begun)
    assert_sums_true(begun)


def test_a_rebuild_of_an_empty_table_leaves_no_sums(begun):
    write(begun, 0)
    settle(begun)
    with dba(begun).begin() as connection:
        connection.execute(text("TRUNCATE flash_sale_events"))
    Rollup(begun, 0).rebuild()
    settle(begun)
    assert_sums_true(begun)
    with begun.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM rollup_minutes")) == 0


def test_sums_that_are_purged_come_back_with_a_rebuild_only(begun):
    rollup = Rollup(begun, 0)
    write(begun, 0, size=100)
    values = [event(2, timestamp=at) for at in (None, "2026-11-27T01:10:00Z")]
    Writer(begun, "g", FLASH_SALES, "w").write(9, NOW, [chunk(values, 1)])
    settle(begun)
    # Of event(n), the hour is n modulo 3.
    gone = rollup.purge(datetime(2026, 11, 27, 1, 30))
    assert min(gone) > 5
    settle(begun)
    with owner(begun).connect() as connection:
        left = set(connection.scalars(text("SELECT HOUR(minute) FROM sales_per_minute")))
        half = connection.scalars(
            text("SELECT minute FROM sales_per_minute WHERE HOUR(minute) = 1 ORDER BY minute")
        ).all()
        hours = set(connection.scalars(text("SELECT HOUR(hour) FROM sales_per_product_hour")))
    assert left == {1, 2, None}
    assert half[0].minute >= 30
    assert hours == {1, 2, None}, "an hour that had not ended is whole"
    write(begun, 1, size=100)
    settle(begun)
    with owner(begun).connect() as connection:
        late = connection.execute(
            text(
                "SELECT SUM(views + carts + purchases + others) FROM funnel_per_minute"
                " WHERE HOUR(minute) = 0"
            )
        ).scalar()
    assert late == 33, "of those that came late only"
    rollup.rebuild()
    settle(begun)
    assert_sums_true(begun)
