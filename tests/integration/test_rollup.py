"""The roll-up sums each row once, whoever stored it, and however it is disturbed."""

import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from db import rollup as module
from db.dead_letters import Filter
from db.engine import connect
from db.offsets import OffsetStore
from db.replay import Replayer
from db.rollup import Rollup
from db.watermark import join
from db.writer import Writer
from pipeline.errors import FatalError, TransientError
from tests.chaos.mysql_proxy import MySQLProxy
from tests.integration.test_sales import chunk, event
from tests.sums import assert_sums_true, settle

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


@pytest.fixture
def database(migrated_engine):
    """Two partitions begin at 0; locks are waited for as briefly as every server can."""
    OffsetStore(migrated_engine, "g").begin("t", {0: 0, 1: 0})
    return migrated_engine


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT", 1)


def write(database, number, *, partition=0, size=10, group="g"):
    values = [event(number * size + n) for n in range(size)]
    Writer(database, group, f"w{group}{partition}").write(
        number, NOW, [chunk(values, partition, number * size)]
    )


_FOREIGN = text(
    "INSERT INTO flash_sale_events (event_id, product_id, category, event_type, quantity, revenue,"
    " ts) VALUES (:id, 'P1', 'c1', 'purchase', 2, 3.5, '2026-11-27 10:00:30')"
)


@contextmanager
def open_transaction(database, *, offset=None, joined=False):
    """Rows that are inserted and not committed, with a stored offset locked, or the state."""
    with database.connect() as connection:
        if offset is not None:
            OffsetStore(database, "g").lock(connection, "t", [offset])
        if joined:
            join(connection)
        connection.execute(_FOREIGN, [{"id": f"late{n}"} for n in range(3)])
        yield connection


def shown(database):
    with database.connect() as connection:
        return connection.execute(text("SELECT SUM(orders) FROM sales_per_minute")).scalar()


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_rows_of_another_program_that_are_committed_late_are_summed(database, end):
    rollup = Rollup(database, 0)
    write(database, 0)
    with open_transaction(database) as other:
        write(database, 1)
        assert rollup.step().summed_to == 0, "only the mark is taken"
        with pytest.raises(TransientError, match="another program has not committed its rows"):
            rollup.step()
        getattr(other, end)()
    settle(database)
    assert_sums_true(database)


def test_a_late_row_is_summed_where_all_others_up_to_the_mark_were_deleted(database):
    rollup = Rollup(database, 0)
    with open_transaction(database) as other:
        write(database, 0)
        rollup.step()
        write(database, 1)
        with database.begin() as connection:
            connection.execute(text("DELETE FROM flash_sale_events WHERE id BETWEEN 4 AND 13"))
        with pytest.raises(TransientError, match="another program has not committed its rows"):
            rollup.step()
        other.commit()
    settle(database)
    assert_sums_true(database)


def test_a_transaction_behind_the_mark_is_not_waited_for(database):
    rollup = Rollup(database, 0)
    write(database, 0)
    rollup.step()
    with open_transaction(database, offset=0) as other:
        assert rollup.step().rows == 10
        other.commit()
    settle(database)
    assert_sums_true(database)


def test_a_write_under_way_is_waited_for_and_holds_up_no_other_one(database, monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT", 30)
    rollup = Rollup(database, 0)
    with open_transaction(database, offset=1) as under_way:
        write(database, 0, partition=0)
        # Sees partition 0 unlocked, and waits for partition 1.
        waiting = threading.Thread(target=rollup.step)
        waiting.start()
        while not waits(database):
            assert waiting.is_alive()
        write(database, 1, partition=0)
        assert waiting.is_alive()
        with database.connect() as connection:
            assert connection.scalar(text("SELECT mark_id FROM rollup_state")) == 0
        under_way.commit()
        waiting.join(20)
    settle(database)
    assert_sums_true(database)


def waits(database):
    """Whether a statement of this database waits for the lock of an offset."""
    with database.connect() as connection:
        found = connection.execute(text("SHOW FULL PROCESSLIST")).mappings().all()
    return any(
        "stream_offsets" in (row["Info"] or "") and "SHARE" in row["Info"].upper() for row in found
    )


def test_a_write_that_hangs_is_named_and_nothing_is_marked(database):
    rollup = Rollup(database, 0)
    with open_transaction(database, offset=1):
        write(database, 0, partition=0)
        with pytest.raises(TransientError, match="a write of t/1 is not done yet"):
            rollup.step()
    settle(database)
    assert_sums_true(database)


def test_a_replay_under_way_is_waited_for(database):
    rollup = Rollup(database, 5)
    with open_transaction(database, joined=True) as replay:
        write(database, 0)
        assert rollup.step().wait == 5, "tried again in the next round"
        with database.connect() as connection:
            assert connection.scalar(text("SELECT mark_id FROM rollup_state")) == 0
        replay.commit()
    settle(database)
    assert_sums_true(database)


def test_rows_are_summed_a_round_after_the_mark(database):
    rollup = Rollup(database, 3600)
    write(database, 0)
    rollup.step()
    found = rollup.step()
    assert (found.summed_to, found.behind) == (0, 10)
    assert 3500 < found.wait <= 3600
    with database.begin() as connection:
        # As after an hour, or with a clock that was set back by a day.
        connection.execute(text("UPDATE rollup_state SET marked_at = marked_at + INTERVAL 1 DAY"))
    assert rollup.step().rows == 10
    assert_sums_true(database)
    assert rollup.step() == (10, 10, 0.0, 0, 3600, None)


def test_services_writers_and_replays_at_once(database, migrated_url, monkeypatch):
    for name, value in (("PORTION", 20), ("SMALLEST", 7), ("LARGEST", 60)):
        monkeypatch.setattr(module, name, value)
    OffsetStore(database, "h").begin("t", {0: 0})
    OffsetStore(database, "d").begin("t", {0: 0})
    values = [event(n, event_id=None) for n in range(40)]
    Writer(database, "d", "w").write(1, NOW, [chunk(values)])
    with database.begin() as connection:
        connection.execute(
            text("UPDATE dead_letters SET value = REPLACE(value, :no, :id)"),
            {"no": '"event_id": null', "id": '"event_id": "again"'},
        )
        connection.execute(text("UPDATE dead_letters SET value_bytes = LENGTH(value)"))
    monkeypatch.setattr("db.dead_letters.PORTION", 3)
    done, failures = threading.Event(), []

    def own(work):
        mine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
        try:
            work(mine)
        except Exception as error:
            failures.append(error)
        mine.dispose()

    def sum_up(mine):
        rollup = Rollup(mine, 0)
        while not done.is_set():
            # Deadlocks and waits pass; what does not is found by the sums.
            with suppress(TransientError):
                rollup.step()

    def write_all(partition, group):
        def work(mine):
            for number in range(25):
                write(mine, number, partition=partition, group=group)

        return work

    def replay(mine):
        assert Replayer(mine, "d", FLASH_SALES).replay(Filter()).stored == 40

    services = [threading.Thread(target=own, args=(sum_up,)) for _ in range(2)]
    works = [write_all(0, "g"), write_all(1, "g"), write_all(0, "h"), replay]
    writers = [threading.Thread(target=own, args=(work,)) for work in works]
    for one in services + writers:
        one.start()
    for one in writers:
        one.join(60)
    done.set()
    for one in services:
        one.join(60)
    assert failures == []
    settle(database)
    with database.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM flash_sale_events")) == 790
    assert_sums_true(database)


def test_ids_of_a_write_that_was_rolled_back_are_passed_over(database):
    write(database, 0)
    with open_transaction(database, offset=0) as other:
        other.rollback()
    write(database, 1)
    settle(database)
    assert_sums_true(database)


def test_a_database_restored_to_an_older_state_is_gone_on_from(database):
    tables = [
        "flash_sale_events",
        "stream_offsets",
        "rollup_state",
        "rollup_minutes",
        "rollup_products",
        "batches",
    ]
    write(database, 0)
    settle(database)
    write(database, 1)
    with database.begin() as connection:
        for table in tables:
            connection.execute(text(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}"))
    rollup = Rollup(database, 0)
    write(database, 2)
    settle(database)
    with database.begin() as connection:
        for table in tables:
            connection.execute(text(f"DELETE FROM {table}"))
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
    assert rollup.step().summed_to == 10
    settle(database)
    write(database, 2)
    settle(database)
    assert_sums_true(database)
    assert OffsetStore(database, "g").read("t") == {0: 30, 1: 0}


@pytest.mark.parametrize("again", [1, 3])
def test_ids_that_begin_anew_are_noticed_and_a_rebuild_is_the_way_out(database, again):
    rollup = Rollup(database, 0)
    write(database, 0)
    write(database, 1)
    settle(database)
    before = shown(database)
    with database.connect() as connection:
        connection.execute(text("TRUNCATE flash_sale_events"))
    assert rollup.step().error is None, "that there are no rows is no error"
    for number in range(2, 2 + again):
        write(database, number)
    error = rollup.step().error
    assert error
    assert "run `faust -A app rollup rebuild`" in error
    assert shown(database) == before
    rollup.rebuild()
    assert shown(database) == before, "until the new sums are there"
    settle(database)
    assert_sums_true(database)


def test_a_rebuild_of_an_empty_table_leaves_no_sums(database):
    write(database, 0)
    settle(database)
    with database.connect() as connection:
        connection.execute(text("TRUNCATE flash_sale_events"))
    Rollup(database, 0).rebuild()
    settle(database)
    assert_sums_true(database)
    with database.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM rollup_minutes")) == 0


def test_sums_that_are_purged_come_back_with_a_rebuild_only(database):
    rollup = Rollup(database, 0)
    write(database, 0, size=100)
    values = [event(2, timestamp=at) for at in (None, "2026-11-27T01:10:00Z")]
    Writer(database, "g", "w").write(9, NOW, [chunk(values, 1)])
    settle(database)
    # Of event(n), the hour is n modulo 3.
    gone = rollup.purge(datetime(2026, 11, 27, 1, 30))
    assert min(gone) > 5
    settle(database)
    with database.connect() as connection:
        left = set(connection.scalars(text("SELECT HOUR(minute) FROM sales_per_minute")))
        half = connection.scalars(
            text("SELECT minute FROM sales_per_minute WHERE HOUR(minute) = 1 ORDER BY minute")
        ).all()
        hours = set(connection.scalars(text("SELECT HOUR(hour) FROM sales_per_product_hour")))
    assert left == {1, 2, None}
    assert half[0].minute >= 30
    assert hours == {1, 2, None}, "an hour that had not ended is whole"
    write(database, 1, size=100)
    settle(database)
    with database.connect() as connection:
        late = connection.execute(
            text(
                "SELECT SUM(views + carts + purchases + others) FROM funnel_per_minute"
                " WHERE HOUR(minute) = 0"
            )
        ).scalar()
    assert late == 33, "of those that came late only"
    rollup.rebuild()
    settle(database)
    assert_sums_true(database)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rollup_minutes",
        "INSERT INTO rollup_products",
        "UPDATE rollup_state",
        "SELECT COUNT(*)",
        "SELECT (SELECT id",
        "SELECT connection_id()",
        "SELECT rollup_state",
        "\n    SELECT s.*",
    ],
)
def test_a_statement_sent_elsewhere_adds_nothing(database, migrated_url, statement):
    write(database, 0)
    with MySQLProxy(migrated_url) as proxy:
        url = make_url(migrated_url).set(drivername="mysql+pymysql", port=proxy.port)
        through = connect(url)
        rollup = Rollup(through, 0)
        proxy.elsewhere = (statement,)
        with pytest.raises(FatalError, match=r"another session\..* DATABASE_URL|not what the"):
            [rollup.step() for _ in range(3)]
        assert proxy.seen
        through.dispose()
    with database.connect() as connection:
        assert connection.scalar(text("SELECT last_id FROM rollup_state")) == 0
        for table in ("rollup_minutes", "rollup_products"):
            assert connection.scalar(text(f"SELECT COUNT(*) FROM {table}")) == 0
    settle(database)
    assert_sums_true(database)
