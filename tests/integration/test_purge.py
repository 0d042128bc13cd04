"""A purge deletes what is old, and nothing that something still needs."""

import asyncio
import logging
import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from checks.database import check_database
from checks.result import CheckResults
from db.connection.server_lock import PURGE, server_lock
from db.dead_letters.query import Filter
from db.dead_letters.replay import Replayer
from db.retention import purge as module
from db.retention.purge import Purge
from db.retention.sizes import Sizes
from db.schema.event_index import make
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.background.housekeeping import Housekeeping
from pipeline.errors import FatalError, TransientError
from pipeline.partition import Partition
from tests.helpers.accounts import WORKER, dba, owner
from tests.helpers.sales import chunk, event, shown, write
from tests.helpers.sink import NOW
from tests.helpers.sums import settle

LONG_AGO = timedelta(days=100)
BEFORE = datetime.now(UTC) - timedelta(days=90)


def execute(engine, statement, **given):
    with dba(engine).begin() as connection:
        return connection.execute(text(statement), given)


def ids(engine, table="flash_sale_events"):
    with dba(engine).connect() as connection:
        return connection.scalars(text(f"SELECT id FROM {table} ORDER BY id")).all()


def run(engine, *what, group="g", sums=True, before=BEFORE, **options):
    found = Purge(engine, group, sums=sums).run(dict.fromkeys(what, before), **options)
    return sum(one.rows for one in found)


def note(engine, days, newest=None):
    newest = max(ids(engine), default=0) if newest is None else newest
    execute(
        engine,
        "INSERT INTO growth VALUES (CURRENT_TIMESTAMP(3) - INTERVAL :days DAY, :newest, '{}')",
        days=days,
        newest=newest,
    )
    return newest


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(module, "PORTION", 7)
    monkeypatch.setattr(module, "SMALLEST", 3)
    monkeypatch.setattr(module, "LARGEST", 12)


def test_events_go_by_the_notes_and_sums_stay(begun):
    for number in range(3):
        write(begun, number)
    note(begun, 95)
    write(begun, 3)
    last = note(begun, 91)
    write(begun, 4)
    note(begun, 89)
    settle(begun)
    orders = shown(begun)
    assert run(begun, "events", dry_run=True) == 40
    assert len(ids(begun)) == 50
    assert run(begun, "events") == 40
    assert min(ids(begun)) > last
    assert run(begun, "events") == 0
    settle(begun)
    assert shown(begun) == orders
    write(begun, 5)
    settle(begun)
    assert shown(begun) > orders


def test_rows_that_are_not_summed_are_kept(begun):
    write(begun, 0)
    settle(begun)
    write(begun, 1)
    note(begun, 100)
    assert run(begun, "events") == 9, "the last summed row is the roll-up's mark"
    execute(begun, "UPDATE rollup_state SET category_last_id = 0")
    assert run(begun, "events") == 0
    assert run(begun, "events", sums=False) == 10, "not the newest"
    assert len(ids(begun)) == 1


def test_before_the_first_note_events_go_by_their_own_time(begun):
    write(begun, 0, size=30)
    old = ids(begun)[:20]
    execute(
        begun,
        "UPDATE flash_sale_events SET ts = IF(id <= :last, '2020-01-01', CURRENT_TIMESTAMP)",
        last=old[-1],
    )
    execute(begun, "UPDATE flash_sale_events SET ts = NULL WHERE id = :id", id=old[3])
    execute(begun, "UPDATE flash_sale_events SET ts = '2037-01-01' WHERE id = :id", id=old[5])
    settle(begun)
    assert run(begun, "events") == 18
    assert set(old) & set(ids(begun)) == {old[3], old[5]}
    note(begun, 91, old[-1])
    assert run(begun, "events") == 2, "these too, once it is known when they were stored"


def test_notes_from_before_ids_began_again_do_not_count(begun):
    write(begun, 0)
    note(begun, 100, 5_000)
    note(begun, 50, 4)
    execute(begun, "UPDATE flash_sale_events SET ts = CURRENT_TIMESTAMP")
    settle(begun)
    assert run(begun, "events") == 0
    execute(begun, "DELETE FROM growth WHERE newest_id = 4")
    assert run(begun, "events") == 0, "nor if the last note is larger than all ids"


@pytest.mark.parametrize(
    "partitions",
    [
        "PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (8), PARTITION b VALUES LESS THAN"
        " (1000), PARTITION c VALUES LESS THAN MAXVALUE)",
        "PARTITION BY RANGE (UNIX_TIMESTAMP(ts)) (PARTITION a VALUES LESS THAN"
        " (UNIX_TIMESTAMP('2026-11-27 01:00:00')), PARTITION b VALUES LESS THAN MAXVALUE)",
    ],
)
def test_a_table_partitioned_by_hand_is_purged(begun, partitions):
    if "ts" in partitions:
        execute(
            begun,
            "ALTER TABLE flash_sale_events MODIFY ts TIMESTAMP NOT NULL DEFAULT '2000-01-01',"
            " DROP PRIMARY KEY, ADD PRIMARY KEY (id, ts)",
        )
    execute(begun, f"ALTER TABLE flash_sale_events {partitions}")
    write(begun, 0, size=50)
    note(begun, 91, ids(begun)[29])
    settle(begun)
    assert run(begun, "events") == 30
    execute(begun, "ALTER TABLE flash_sale_events DROP PARTITION a")
    assert run(begun, "events") == 0


def letters(engine, group, number):
    OffsetStore(engine, group).begin({Partition("t", 0): 0})
    values = [event(n, event_id=None) for n in range(number)]
    Writer(engine, group, FLASH_SALES, f"w{group}").write(1, NOW, [chunk(values)])


def test_dead_letters_go_by_when_they_were_written(begun):
    letters(begun, "d", 40)
    letters(begun, "other", 5)
    old = ids(begun, "dead_letters")[:25]
    execute(
        begun,
        "UPDATE dead_letters SET created_at = IF(id <= :last OR consumer_group = 'other',"
        " '2020-01-01', CURRENT_TIMESTAMP(3))",
        last=old[-1],
    )
    execute(begun, "UPDATE dead_letters SET replayed_at = created_at WHERE id = :id", id=old[0])
    found = list(Purge(begun, "d", sums=True).run({"dead-letters": BEFORE}))
    assert (sum(one.rows for one in found), sum(one.pending for one in found)) == (25, 24)
    assert len(ids(begun, "dead_letters")) == 20


def test_dead_letters_stay_while_they_are_replayed(begun, monkeypatch):
    letters(begun, "d", 12)
    execute(begun, "UPDATE dead_letters SET created_at = '2020-01-01'")
    replaying, purged = threading.Event(), threading.Event()

    def announce(connection):
        replaying.set()
        assert purged.wait(20)

    execute(
        begun,
        'UPDATE dead_letters SET value = REPLACE(value, \'"event_id": null\', \'"event_id": "e"\')',
    )
    execute(begun, "UPDATE dead_letters SET value_bytes = LENGTH(value)")
    replayer = Replayer(begun, "d", FLASH_SALES, announce=announce)
    monkeypatch.setattr("db.dead_letters.query.PORTION", 5)
    found = []
    running = threading.Thread(target=lambda: found.append(replayer.replay(Filter())))
    running.start()
    assert replaying.wait(20)
    with pytest.raises(TransientError, match="are being replayed: they are kept"):
        run(begun, "dead-letters", group="d")
    purged.set()
    running.join(20)
    assert found[0].stored == 12
    assert run(begun, "dead-letters", group="d") == 12


def test_a_workers_last_line_of_the_ledger_stays(begun):
    for number in range(5):
        write(begun, number)
    write(begun, 0, partition=1)
    execute(begun, "UPDATE batches SET written = CURRENT_TIMESTAMP(3) - INTERVAL 100 DAY")
    offsets = OffsetStore(begun, "g").read("t")
    assert run(begun, "batches", group="h") == 0
    assert run(begun, "batches") == 4
    with begun.connect() as connection:
        left = connection.execute(text("SELECT worker, number FROM batches ORDER BY worker")).all()
    assert left == [("wg0", 4), ("wg1", 0)]
    execute(begun, "UPDATE batches SET written = CURRENT_TIMESTAMP(3) - INTERVAL 130 DAY")
    assert run(begun, "batches") == 2
    assert OffsetStore(begun, "g").read("t") == offsets


def test_only_one_purges_at_a_time(begun, caplog):
    write(begun, 0)
    with begun.connect() as other, server_lock(other, PURGE) as had:
        assert had
        with pytest.raises(TransientError, match="Another purge is running"):
            run(begun, "events")
        service = keeper(begun, events=1)
        with caplog.at_level(logging.INFO):
            asyncio.run(service.turn())
        assert caplog.records == []
        assert service.last_error is None


def keeper(engine, **days):
    ages = {what.replace("_", "-"): timedelta(days=number) for what, number in days.items()}
    return Housekeeping(Sizes(engine).note, Purge(engine, "g", sums=True).run, ages)


def test_retention_purges_in_the_background(begun, caplog):
    for number in range(3):
        write(begun, number)
    note(begun, 91)
    write(begun, 3)
    settle(begun)
    execute(begun, "UPDATE batches SET written = CURRENT_TIMESTAMP(3) - INTERVAL 100 DAY")
    service = keeper(begun, events=90, dead_letters=90, batches=90)
    with asyncio.Runner() as runner, caplog.at_level(logging.INFO):
        runner.run(service.turn())
        assert "Purged by RETENTION: 30 events, 3 batches." in caplog.text
        assert len(ids(begun)) == 10
        execute(begun, "RENAME TABLE growth TO away")
        runner.run(service.turn())
        assert "a table is missing" in (service.last_error or "")
        execute(begun, "RENAME TABLE away TO growth")
        runner.run(service.turn())
    assert service.last_error is None


def test_an_event_purged_and_sent_again_is_stored_again(begun):
    with owner(begun).connect() as connection:
        make(connection)
    writer = Writer(begun, "g", FLASH_SALES, "w", deduplicate=True)
    values = [event(n) for n in range(10)]
    writer.write(1, NOW, [chunk(values)])
    note(begun, 91, ids(begun)[4])
    settle(begun)
    assert run(begun, "events") == 5
    again = writer.write(2, NOW, [chunk(values, 0, 10)])
    assert (again.valid, again.duplicate) == (5, 5)
    settle(begun)
    assert shown(begun) > 0


def test_sizes_and_growth_are_known(begun):
    write(begun, 0, size=300)
    sizes = Sizes(begun, limit=10**9)
    first = sizes.note()
    assert (first.per_day, first.full_in) == (None, None)
    assert {one.name for one in first.tables} >= {"flash_sale_events", "dead_letters", "batches"}
    sizes.note()
    with begun.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM growth")) == 1, "once an hour"
    execute(
        begun,
        "UPDATE growth SET noted_at = noted_at - INTERVAL 2 DAY,"
        " bytes = JSON_SET(bytes, '$.flash_sale_events', -1000000)",
    )
    found = sizes.read()
    events = next(one for one in found.tables if one.name == "flash_sale_events")
    assert events.per_day == pytest.approx((events.bytes + 1_000_000) / 2, rel=0.01)
    assert found.per_day
    assert found.full_in == pytest.approx((10**9 - found.bytes) / found.per_day, rel=0.01)


def test_only_who_purges_needs_the_right(begun, server):
    for table in ("flash_sale_events", "batches"):
        server.execute(
            f"REVOKE DELETE ON `{begun.url.database}`.{table} FROM '{WORKER}'@'127.0.0.1'"
        )
    results = CheckResults()
    assert check_database(begun, FLASH_SALES, results)
    check_database(begun, FLASH_SALES, results, purged=["events"])
    assert "the account lacks DELETE on flash_sale_events" in str(results.all)
    write(begun, 0)
    write(begun, 1)
    execute(begun, "UPDATE batches SET written = CURRENT_TIMESTAMP(3) - INTERVAL 100 DAY")
    with pytest.raises(FatalError, match="lacks DELETE on batches"):
        run(begun, "batches")


def test_the_command_asks_with_numbers(begun, faust):
    write(begun, 0)
    note(begun, 91)
    settle(begun)
    given = {"CONSUMER_GROUP": "g", "KAFKA_URL": "127.0.0.1:9"}
    said = faust("purge", "events", "--older-than", "90d", "--dry-run", **given)
    assert re.match(r"9 events stored before \S+ \S+ UTC: would be deleted\.", said)
    said = faust("purge", "events", "--older-than", "90d", status=1, **given)
    assert "permanently deletes 9 events stored before" in said
    assert len(ids(begun)) == 10
    said = faust("purge", "events", "--older-than", "90d", "--yes", **given)
    assert re.search(r"^9 events stored before \S+ \S+ UTC deleted\.", said, re.MULTILINE)
    assert len(ids(begun)) == 1
    said = faust("purge", "batches", "--older-than", "2h", status=2, **given)
    assert "Batches of the last day are kept" in said
