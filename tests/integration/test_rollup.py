"""The roll-up sums each row once, however it was stored and whatever goes wrong."""

import threading
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.dead_letters.query import Filter
from db.dead_letters.replay import Replayer
from db.rollup import rounds as module
from db.rollup.rounds import Rollup
from db.rollup.watermark import join
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.errors import FatalError, TransientError
from pipeline.partition import Partition
from tests.chaos.mysql_proxy import MySQLProxy
from tests.helpers.accounts import dba
from tests.helpers.partitions import of_topic
from tests.helpers.sales import chunk, event, write
from tests.helpers.sink import NOW, statements
from tests.helpers.sums import assert_sums_true, settle


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT", 1)


_FOREIGN = text(
    "INSERT INTO flash_sale_events (event_id, product_id, category, event_type, quantity, revenue,"
    " ts) VALUES (:id, 'P1', 'c1', 'purchase', 2, 3.5, '2026-11-27 10:00:30')"
)


@contextmanager
def open_transaction(begun, *, offset=None, joined=False):
    """Rows that are inserted and not committed, with a stored offset locked, or the state."""
    with begun.connect() as connection:
        if offset is not None:
            OffsetStore(begun, "g").lock(connection, [Partition("t", offset)])
        if joined:
            join(connection)
        connection.execute(_FOREIGN, [{"id": f"late{n}"} for n in range(3)])
        yield connection


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_late_commits_of_another_program_are_summed(begun, end):
    rollup = Rollup(begun, 0)
    write(begun, 0)
    with open_transaction(begun) as other:
        write(begun, 1)
        assert rollup.step().summed_to == 0, "only the mark is taken"
        with pytest.raises(TransientError, match="another program has not committed its rows"):
            rollup.step()
        getattr(other, end)()
    settle(begun)
    assert_sums_true(begun)


def test_late_row_is_summed_though_all_others_were_deleted(begun):
    rollup = Rollup(begun, 0)
    with open_transaction(begun) as other:
        write(begun, 0)
        rollup.step()
        write(begun, 1)
        with dba(begun).begin() as connection:
            connection.execute(text("DELETE FROM flash_sale_events WHERE id BETWEEN 4 AND 13"))
        with pytest.raises(TransientError, match="another program has not committed its rows"):
            rollup.step()
        other.commit()
    settle(begun)
    assert_sums_true(begun)


def test_transaction_after_the_mark_is_not_waited_for(begun):
    rollup = Rollup(begun, 0)
    write(begun, 0)
    rollup.step()
    with open_transaction(begun, offset=0) as other:
        assert rollup.step().rows == 10
        other.commit()
    settle(begun)
    assert_sums_true(begun)


def test_the_round_waits_for_a_write_and_blocks_no_other(begun, monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT", 30)
    rollup = Rollup(begun, 0)
    with open_transaction(begun, offset=1) as under_way:
        write(begun, 0, partition=0)
        # Sees partition 0 unlocked, and waits for partition 1.
        waiting = threading.Thread(target=rollup.step)
        waiting.start()
        while not waits(begun):
            assert waiting.is_alive()
        write(begun, 1, partition=0)
        assert waiting.is_alive()
        with begun.connect() as connection:
            assert connection.scalar(text("SELECT mark_id FROM rollup_state")) == 0
        under_way.commit()
        waiting.join(20)
    settle(begun)
    assert_sums_true(begun)


def waits(begun):
    """Whether a statement of this database waits for the lock of an offset."""
    with begun.connect() as connection:
        found = connection.execute(text("SHOW FULL PROCESSLIST")).mappings().all()
    return any(
        "stream_offsets" in (row["Info"] or "") and "SHARE" in row["Info"].upper() for row in found
    )


def test_hanging_write_is_named_and_sets_no_mark(begun):
    rollup = Rollup(begun, 0)
    with open_transaction(begun, offset=1):
        write(begun, 0, partition=0)
        with pytest.raises(TransientError, match="a write of t/1 is still running"):
            rollup.step()
    settle(begun)
    assert_sums_true(begun)


def test_unlocked_offsets_are_checked_in_one_query(begun):
    OffsetStore(begun, "g").begin(of_topic("t", dict.fromkeys(range(300), 0)))
    write(begun, 0, partition=0)
    with open_transaction(begun, offset=7) as under_way:
        seen = statements(begun, "stream_offsets")
        with pytest.raises(TransientError, match="a write of t/7 is still running"):
            Rollup(begun, 0).step()
        assert len(seen) == 3, "which there are, which are unlocked, and the one that is not"
        under_way.commit()
    settle(begun)
    assert_sums_true(begun)


def test_running_replay_is_waited_for(begun):
    rollup = Rollup(begun, 5)
    with open_transaction(begun, joined=True) as replay:
        write(begun, 0)
        assert rollup.step().wait == 5, "tried again in the next round"
        with begun.connect() as connection:
            assert connection.scalar(text("SELECT mark_id FROM rollup_state")) == 0
        replay.commit()
    settle(begun)
    assert_sums_true(begun)


def test_rows_are_summed_one_round_after_the_mark(begun):
    rollup = Rollup(begun, 3600)
    write(begun, 0)
    rollup.step()
    found = rollup.step()
    assert (found.summed_to, found.behind) == (0, 10)
    assert 3500 < found.wait <= 3600
    with begun.begin() as connection:
        # As after an hour, or with a clock that was set back by a day.
        connection.execute(text("UPDATE rollup_state SET marked_at = marked_at + INTERVAL 1 DAY"))
    assert rollup.step().rows == 10
    assert_sums_true(begun)
    assert rollup.step() == (10, 10, 0.0, 0, 3600, None, 0, None)


def test_services_writers_and_replays_at_once(begun, migrated_url, monkeypatch):
    for name, value in (("PORTION", 20), ("SMALLEST", 7), ("LARGEST", 60)):
        monkeypatch.setattr(module, name, value)
    OffsetStore(begun, "h").begin({Partition("t", 0): 0})
    OffsetStore(begun, "d").begin({Partition("t", 0): 0})
    values = [event(n, event_id=None) for n in range(40)]
    Writer(begun, "d", FLASH_SALES, "w").write(1, NOW, [chunk(values)])
    with begun.begin() as connection:
        connection.execute(
            text("UPDATE dead_letters SET value = REPLACE(value, :no, :id)"),
            {"no": '"event_id": null', "id": '"event_id": "again"'},
        )
        connection.execute(text("UPDATE dead_letters SET value_bytes = LENGTH(value)"))
    monkeypatch.setattr("db.dead_letters.query.PORTION", 3)
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
        assert Replayer(mine, "d", FLASH_SALES, announce=join).replay(Filter()).stored == 40

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
    settle(begun)
    with begun.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM flash_sale_events")) == 790
    assert_sums_true(begun)


def test_ids_of_a_rolled_back_write_are_skipped(begun):
    write(begun, 0)
    with open_transaction(begun, offset=0) as other:
        other.rollback()
    write(begun, 1)
    settle(begun)
    assert_sums_true(begun)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rollup_minutes",
        "INSERT INTO rollup_products",
        "INSERT INTO rollup_categories",
        "UPDATE rollup_state",
        "SELECT COUNT(*)",
        "SELECT (SELECT id",
        "SELECT connection_id()",
        "SELECT rollup_state",
        "\n    SELECT s.*",
    ],
)
def test_statement_in_another_session_adds_nothing(begun, migrated_url, statement):
    write(begun, 0)
    with MySQLProxy(migrated_url) as proxy:
        url = make_url(migrated_url).set(drivername="mysql+pymysql", port=proxy.port)
        through = connect(url)
        rollup = Rollup(through, 0)
        proxy.elsewhere = (statement,)
        with pytest.raises(FatalError, match=r"another session\..* DATABASE_URL|not what the"):
            [rollup.step() for _ in range(3)]
        assert proxy.seen
        through.dispose()
    with begun.connect() as connection:
        assert connection.scalar(text("SELECT last_id FROM rollup_state")) == 0
        for table in ("rollup_minutes", "rollup_products", "rollup_categories"):
            assert connection.scalar(text(f"SELECT COUNT(*) FROM {table}")) == 0
    settle(begun)
    assert_sums_true(begun)
