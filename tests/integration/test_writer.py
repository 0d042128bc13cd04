"""The sink against a real database: what its delivery guarantee says, line by line."""

import json
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import IO_TIMEOUT
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import batches, dead_letters, metadata, stream_offsets
from db.schema.upgrade import alembic_config
from db.schema.version import VERSION
from db.write.offsets import OffsetStore
from db.write.row_store import RowStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, OffsetGapError
from pipeline.partition import Partition
from tests.helpers.accounts import dba
from tests.helpers.sink import NOW, chunk, event, record, stored_ids, stored_offsets, write


def test_rows_dead_letters_ledger_and_offsets_commit_together(begun):
    good, bad = record(0, event(0, price=2.5, quantity=4)), record(1, b"\xff not json", None, -1)
    batch = Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 5, [good, bad])]
    )
    assert stored_ids(begun) == ["e0"]
    assert stored_offsets(begun) == {0: 5, 1: 0}, "also past offsets without an event"
    with begun.connect() as connection:
        letter = connection.execute(select(dead_letters)).one()
        line = connection.execute(select(batches)).one()
    assert (letter.value, letter.kafka_offset, letter.reason) == (
        b"\xff not json",
        1,
        "malformed",
    )
    assert letter.kafka_key is None
    assert letter.kafka_ts is None
    assert (line.events, line.valid, line.malformed, line.revenue) == (2, 1, 1, 10.0)
    assert batch is not None
    assert batch.line().startswith("Batch 1: 1 valid rows written, 1 dropped (1 malformed)")


def test_a_write_repeated_adds_nothing_and_answers_the_same(begun):
    """The answer to COMMIT was lost: only the ledger knows that the first try was stored."""
    writer = Writer(begun, "g", FLASH_SALES, "w")
    first = writer.write(1, NOW, [chunk(0, 10)])
    again = writer.write(1, NOW, [chunk(0, 10)])
    assert len(stored_ids(begun)) == 10
    assert first is not None
    assert again is not None
    for name in ("events", "valid", "dropped", "filled", "repaired", "seconds", "offsets"):
        assert getattr(again, name) == getattr(first, name), name
    assert again.total + 1.0 == first.total + 1.0, "a number to count with"


def test_whoever_comes_second_adds_only_what_is_new(begun):
    Writer(begun, "g", FLASH_SALES, "one").write(1, NOW, [chunk(0, 10)])
    late = Writer(begun, "g", FLASH_SALES, "two").write(1, NOW, [chunk(0, 6), chunk(6, 15)])
    assert stored_ids(begun) == [f"e{n}" for n in range(15)]
    assert late is not None
    assert (late.events, late.valid) == (5, 5)
    nothing = Writer(begun, "g", FLASH_SALES, "three").write(1, NOW, [chunk(2, 12)])
    assert (nothing.events, nothing.offsets) == (0, {("t", 0): 15})


def test_offsets_of_a_batch_are_those_stored_now(begun):
    """Also of partitions of which nothing was new, and of a write whose answer was lost."""
    first = Writer(begun, "g", FLASH_SALES, "one")
    first.write(1, NOW, [chunk(0, 10), chunk(0, 3, partition=1)])
    second = Writer(begun, "g", FLASH_SALES, "two")
    written = second.write(1, NOW, [chunk(0, 5), chunk(0, 7, partition=1)])
    assert written.offsets == {("t", 0): 10, ("t", 1): 7}
    Writer(begun, "g", FLASH_SALES, "three").write(1, NOW, [chunk(7, 9, partition=1)])
    again = second.write(1, NOW, [chunk(0, 5), chunk(0, 7, partition=1)])
    assert (again.events, again.offsets) == (written.events, {("t", 0): 10, ("t", 1): 9})


def test_a_gap_is_never_written_over(begun):
    writer = Writer(begun, "g", FLASH_SALES, "w")
    with pytest.raises(OffsetGapError, match=r"stored offset of t/0 is 0, but .* begin at 3"):
        writer.write(1, NOW, [chunk(3, 5)])
    with pytest.raises(OffsetGapError):
        writer.write(2, NOW, [chunk(0, 2), chunk(3, 5)])
    with pytest.raises(OffsetGapError, match="t/7 is gone"):
        writer.write(3, NOW, [chunk(0, 1, partition=7)])
    assert stored_ids(begun) == []
    assert stored_offsets(begun) == {0: 0, 1: 0}


def test_groups_do_not_disturb_each_other(begun):
    OffsetStore(begun, "other").begin({Partition("t", 0): 0})
    Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, [chunk(0, 3)])
    Writer(begun, "other", FLASH_SALES, "w2").write(1, NOW, [chunk(0, 3)])
    assert len(stored_ids(begun)) == 6
    assert stored_offsets(begun) == {0: 3, 1: 0}


def test_a_row_that_only_the_database_rejects_is_a_dead_letter(begun):
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(3)"))
    batch = Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [chunk(0, 3), chunk(3, 4, category="four")]
    )
    assert stored_ids(begun) == ["e0", "e1", "e2"]
    assert batch is not None
    [refused] = batch.refused
    assert refused[:2] == (Partition("t", 0), 3)
    assert "category" in refused.detail


def test_a_missing_table_is_fatal_and_says_what_to_run(begun):
    with dba(begun).begin() as connection:
        connection.execute(text("DROP TABLE batches"))
    with pytest.raises(FatalError, match="faust -A app migrate"):
        Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, [chunk(0, 3)])
    assert stored_ids(begun) == []


def test_statements_are_cut_to_what_the_server_takes(begun):
    pieces = [chunk(0, 50), chunk(50, 51), chunk(51, 400)]
    with begun.begin() as connection:
        RowStore().store(write(connection, 3000), pieces)
    assert stored_ids(begun) == [f"e{n}" for n in range(400)]


def test_quotes_backslashes_and_percent_signs_are_unchanged(begun):
    odd = "o'\"\\%s%(x)s:rows;--\x00漢🔥"
    Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, [chunk(0, 1, category=odd)])
    with begun.connect() as connection:
        assert connection.scalar(select(flash_sale_events.c.category)) == odd


ODD = st.text(max_size=20) | st.text("'\"\\\\],[()%:\n🔥ab", max_size=20)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(ODD, ODD), min_size=1, max_size=8))
def test_any_text_comes_back_as_it_was(begun, texts):
    values = [
        json.dumps({"event_id": one, "user_id": other, "category": "c"}).encode()
        for one, other in texts
    ]
    records = [record(n, value) for n, value in enumerate(values)]
    found = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    with begun.connect() as connection:
        RowStore().store(write(connection), [found])
        columns = flash_sale_events.c
        stored = connection.execute(
            select(columns.event_id, columns.user_id).order_by(columns.id)
        ).all()
        connection.rollback()
    assert [tuple(row) for row in stored] == texts


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"])
def test_hostile_text_stays_text_whatever_mode_a_session_is_in(begun, mode):
    hostile = ["\\'), (1) -- ", '\\"), (1) -- ', "'), (1) -- ", "],[", "'],['", "\\"]
    for text_of_it in hostile:
        found = chunk(0, 2, category=text_of_it)
        with begun.connect() as connection:
            connection.execute(text(f"SET SESSION sql_mode = 'STRICT_ALL_TABLES,{mode}'"))
            RowStore().store(write(connection), [found])
            stored = connection.scalars(select(flash_sale_events.c.category)).all()
            connection.rollback()
        assert stored == [text_of_it] * 2


def test_time_is_utc_whatever_the_servers_zone(begun):
    Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [chunk(0, 1, timestamp="2026-11-27T10:15:30+02:00")]
    )
    with begun.connect() as connection:
        seconds = connection.scalar(select(func.unix_timestamp(flash_sale_events.c.ts)))
    assert seconds == datetime(2026, 11, 27, 8, 15, 30, tzinfo=UTC).timestamp()


def test_migrations_make_what_the_metadata_says(begun):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from tests.integration.test_migrations import is_ours

    with begun.connect() as connection:
        opts = {"compare_type": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=opts)
        differences = compare_metadata(context, metadata)
    assert differences == []


def test_the_newest_migration_is_the_one_a_worker_asks_for():
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_current_head() == VERSION


def test_the_replaced_jobs_table_is_taken_over_with_its_rows(database_url, migrate_cli):
    engine = create_engine(sessions_url(database_url))
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE flash_sale_events (id BIGINT AUTO_INCREMENT PRIMARY KEY, "
                "event_id VARCHAR(50), user_id VARCHAR(50), product_id VARCHAR(50), "
                "category VARCHAR(50), event_type VARCHAR(20), price FLOAT, quantity INT, "
                "revenue FLOAT, ts TIMESTAMP NULL)"
            )
        )
        connection.execute(text("INSERT INTO flash_sale_events (event_id) VALUES ('old')"))
    answer: subprocess.CompletedProcess[str] = migrate_cli(database_url)
    assert answer.returncode == 0
    assert stored_ids(engine) == ["old"]
    with engine.connect() as connection:
        assert connection.execute(select(stream_offsets)).all() == []


def sessions_url(url: str) -> str:
    return url.replace("mysql://", "mysql+pymysql://")


def test_sessions_are_strict(begun):
    with begun.connect() as connection:
        mode, zone = connection.execute(text("SELECT @@sql_mode, @@time_zone")).one()
    assert "STRICT_ALL_TABLES" in mode
    assert zone == "+00:00"
    assert IO_TIMEOUT < 60
