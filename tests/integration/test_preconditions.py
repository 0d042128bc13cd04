"""What writes rely on may be taken away under a running worker: it is seen, and costs no row."""

import logging
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from agents.flash_sales import FLASH_SALES
from db.dead_letters.query import Filter
from db.dead_letters.replay import Replayer
from db.rollup.watermark import join
from db.schema.preconditions import Preconditions
from db.schema.upgrade import make_index
from db.write.deduplicate import hold_index
from db.write.writer import Writer
from pipeline.errors import FatalError
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server
from tests.helpers.events import event, ids
from tests.helpers.sink import NOW, chunk, statements, stored_ids, stored_offsets

DROP = "flash_sale_events DROP INDEX uq_event_id"
NO_INDEX = "has no unique index uq_event_id: run `faust -A app migrate` with DEDUPLICATE=true"


def alter(engine, change):
    with dba(engine).begin() as connection:
        connection.execute(text(f"ALTER TABLE {change}"))


def insert(connection, one):
    connection.execute(text("INSERT INTO flash_sale_events (event_id) VALUES (:i)"), {"i": one})


@pytest.fixture
def indexed(begun):
    make_index(dba(begun))
    return begun


def test_without_its_index_no_duplicate_is_stored(indexed):
    writer = Writer(indexed, "g", FLASH_SALES, "w", deduplicate=True)
    writer.write(1, NOW, [chunk(0, 5)])
    alter(indexed, DROP)
    with pytest.raises(FatalError, match=NO_INDEX):
        writer.write(2, NOW, [chunk(0, 9)])
    assert stored_ids(indexed) == [f"e{n}" for n in range(5)]
    assert stored_offsets(indexed) == {0: 5, 1: 0}


def test_the_index_cannot_be_dropped_within_a_write(indexed):
    with indexed.begin() as connection:
        hold_index(connection, FLASH_SALES)
        insert(connection, "e1")
        drop = threading.Thread(target=alter, args=(indexed, DROP))
        drop.start()
        drop.join(1)
        assert drop.is_alive()
        with pytest.raises(IntegrityError):
            insert(connection, "e1")
    drop.join(20)
    assert not drop.is_alive()
    assert stored_ids(indexed) == ["e1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("flash_sale_events ENGINE=MyISAM", "MyISAM, which has no transactions"),
        ("batches DROP INDEX ix_batches_written, ENGINE=MyISAM", "batches uses the engine MyISAM"),
        ("flash_sale_events MODIFY ts DATE", "ts is date, which does not hold a time"),
        ("flash_sale_events DROP COLUMN revenue", "has no column revenue"),
        (
            "flash_sale_events DROP COLUMN revenue, ADD revenue FLOAT AS (price * quantity)",
            "revenue is a generated column",
        ),
        ("dead_letters DROP INDEX uq_dead_letters", "dead_letters has no unique index over"),
        ("batches RENAME TO batches_away", "the table batches is missing"),
        ("flash_sale_events RENAME TO away", "the table flash_sale_events is missing"),
        (DROP, NO_INDEX),
    ],
)
def test_what_was_taken_away_ends_the_next_write(begun, change, said):
    deduplicate = change == DROP
    if deduplicate:
        make_index(dba(begun))
    preconditions = Preconditions(begun, deduplicate=deduplicate, interval=0)
    writer = Writer(
        begun, "g", FLASH_SALES, "w", deduplicate=deduplicate, verify=preconditions.verify_again
    )
    writer.write(1, NOW, [chunk(0, 5)])
    alter(begun, change)
    with pytest.raises(FatalError, match=said):
        writer.write(2, NOW, [chunk(5, 9)])


def test_they_are_verified_once_a_minute_and_warned_of_once(begun, caplog):
    looks = statements(begun, "information_schema.ENGINES")
    lasting = Preconditions(begun, deduplicate=False)
    for _ in range(3):
        lasting.verify_again()
    assert len(looks) == 1
    alter(begun, "flash_sale_events MODIFY category VARCHAR(3)")
    each_time = Preconditions(begun, deduplicate=False, interval=0)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            each_time.verify_again()
    assert [one.getMessage()[:61] for one in caplog.records] == [
        "The database: flash_sale_events.category is varchar(3), but e"
    ]


def test_replay_without_the_index_stores_nothing(indexed):
    with indexed.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dead_letters (consumer_group, kafka_topic, kafka_partition,"
                " kafka_offset, reason, detail, value, created_at) VALUES ('g', 't', 0, 1,"
                " 'invalid', 'd', :value, NOW())"
            ),
            {"value": event(1)},
        )
    alter(indexed, DROP)
    with pytest.raises(FatalError, match=NO_INDEX):
        Replayer(indexed, "g", FLASH_SALES, announce=join, deduplicate=True).replay(Filter())
    assert stored_ids(indexed) == []


@each_server
def test_a_dropped_index_ends_the_worker_without_duplicates(
    worker, produce, migrated_engine, migrated_url
):
    make_index(dba(migrated_engine))
    running = worker(DEDUPLICATE="true", FLUSH_INTERVAL=0.3).wait_ready()
    produce([(event(n), 0) for n in range(10)])
    running.wait_stored(migrated_url, 10)
    alter(migrated_engine, DROP)
    produce([(event(n), 0) for n in range(20)])
    assert running.wait(20) == 1
    assert NO_INDEX in running.log_text()
    assert "Traceback" not in running.log_text()
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(10))
