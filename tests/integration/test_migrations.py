"""Migrations: killed after any statement they are run again, and old rows get what is new."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count

import pytest
from alembic import command
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import IntegrityError

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.schema import upgrade
from db.schema.tables import metadata
from db.schema.upgrade import alembic_config, migrate
from db.schema.version import VERSION
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from dev import ROOT
from pipeline.errors import FatalError
from pipeline.partition import Partition
from tests.helpers import sales
from tests.helpers.accounts import OWNER, grant
from tests.helpers.old_schema import INSERT_LETTER, bring_to
from tests.helpers.sums import assert_sums_true, settle


class Killed(BaseException):
    """In place of SIGKILL: nothing that runs catches it."""


def migrate_killed_after(engine, number):
    """Run the migrations until their statement of this number; answer whether there was one."""
    seen = count(1)

    def kill(_connection, _cursor, statement, *_):
        changes = not statement.lstrip().upper().startswith(("SELECT", "SHOW", "DESCRIBE"))
        if changes and next(seen) == number:
            raise Killed

    event.listen(engine, "after_cursor_execute", kill)
    try:
        migrate(engine)
    except Killed:
        return True
    finally:
        event.remove(engine, "after_cursor_execute", kill)
        engine.dispose()
    return False


def differences(engine):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": is_ours}
        )
        return compare_metadata(context, metadata)


def is_ours(name, kind, _):
    """Not the sums of workers of the version before, which are left to them."""
    return kind != "table" or name not in ("sales_by_minute", "sales_by_product")


def dead_letter_rows(engine):
    with engine.connect() as connection:
        return connection.execute(
            text("SELECT value, value_bytes, value_sha256 FROM dead_letters ORDER BY id")
        ).all()


def old_worker_writes(engine):
    """Rows with their sums, as a worker of the version before stores them, on two shards."""
    with engine.begin() as connection:
        for shard, number in ((0, 3), (2, 4)):
            connection.execute(
                text(
                    "INSERT INTO flash_sale_events (event_id, product_id, category, event_type,"
                    " quantity, revenue, ts)"
                    " VALUES ('e', 'P1', 'c', 'purchase', 1, 2.5, '2026-11-27 10:00:05')"
                ),
                [{}] * number,
            )
            given = {"shard": shard, "number": number, "revenue": 2.5 * number}
            for statement in (
                "INSERT INTO sales_by_minute VALUES ('2026-11-27 10:00', :shard, 0, 0, :number, 0,"
                " :number, :revenue) ON DUPLICATE KEY UPDATE purchases = purchases + :number,"
                " units = units + :number, revenue = revenue + :revenue",
                "INSERT INTO sales_by_product VALUES ('2026-11-27 10:00', 'P1', 'c', :shard,"
                " :number, :number, :revenue) ON DUPLICATE KEY UPDATE orders = orders + :number,"
                " units = units + :number, revenue = revenue + :revenue",
            ):
                connection.execute(text(statement), given)


def test_old_workers_beside_new_ones_count_nothing_twice(empty):
    bring_to(empty, "0003")
    old_worker_writes(empty)
    migrate(empty)
    # These views show a copy until the roll-up has been there.
    assert_sums_true(empty, but="sales_per_category_minute")
    old_worker_writes(empty)
    settle(empty)
    assert_sums_true(empty)
    old_worker_writes(empty)
    settle(empty)
    assert_sums_true(empty)
    with empty.connect() as connection:
        for table in ("rollup_minutes", "rollup_products"):
            outdated = text(f"SELECT COUNT(*) FROM {table} WHERE generation = 0")
            assert connection.scalar(outdated) == 0


def test_downgrade_restores_the_old_sums(empty):
    migrate(empty)
    OffsetStore(empty, "g").begin({Partition("t", 0): 0})
    values = [sales.event(n) for n in range(100)]
    Writer(empty, "g", FLASH_SALES, "w").write(1, datetime.now(UTC), [sales.chunk(values)])
    settle(empty)
    old_worker_writes(empty)
    for _ in range(2):
        with empty.connect() as connection:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.downgrade(config, "0003")
            connection.commit()
        assert_sums_true(empty, but="sales_per_category_minute")
        migrate(empty)
        settle(empty)
        assert_sums_true(empty)


def kill_anywhere(server, database_url, start, values):
    """Kill the migrations after each of their statements, and see that they can be run again."""
    name = database_url.rpartition("/")[2]
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    for number in count(1):
        server.execute(f"DROP DATABASE {name}")
        server.create_database(name)
        if start:
            bring_to(engine, start)
            with engine.begin() as connection:
                connection.execute(
                    INSERT_LETTER, [{"at": n, "value": v} for n, v in enumerate(values)]
                )
            old_worker_writes(engine)
        killed = migrate_killed_after(engine, number)
        assert migrate(engine).after == VERSION
        if start:
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT SUM(orders) FROM sales_per_product")) == 7
        assert differences(engine) == [], number
        assert dead_letter_rows(engine) == [
            (value, None if value is None else len(value), sha256(value or b"").digest())
            for value in values
        ], number
        if not killed:
            break
    assert number > 5
    engine.dispose()


@pytest.mark.slow
def test_a_migration_killed_after_any_statement_is_run_again(server, database_url):
    kill_anywhere(server, database_url, "0002", [b"abc", None, b"", b"\x00\xff" * 5000])


@pytest.mark.slow
def test_a_killed_first_migration_is_run_again(server, database_url):
    kill_anywhere(server, database_url, None, [])


def test_two_migrations_at_once_are_one(database_url, migrate_cli):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(migrate_cli, [database_url] * 2))
    assert [one.returncode for one in done] == [0, 0], done
    said = sorted(one.stdout for one in done)
    assert said[0].startswith(f"The schema is already at version {VERSION}.\n")
    assert said[1].startswith(f"The schema was created at version {VERSION}:\n")


def test_waiting_too_long_names_the_other_migration(empty, server, database_url, monkeypatch):
    monkeypatch.setattr(upgrade, "LOCK_TIMEOUT", 1)
    with empty.connect() as other:
        upgrade._wait_alone(other)
        session = other.scalar(text("SELECT CONNECTION_ID()"))
        with pytest.raises(FatalError, match=rf"connection {session} \(shop_migrate from 127"):
            migrate(empty)
        # Another database's migration has nothing to do with it.
        server.create_database("migrated_beside")
        elsewhere = grant(server, OWNER, "migrated_beside")
        beside = connect(make_url(elsewhere).set(drivername="mysql+pymysql"))
        assert migrate(beside).before is None
        beside.dispose()
        server.drop_database("migrated_beside")
        # However it ends, its lock ends with its connection.
        server.execute(f"KILL {session}")
        assert migrate(empty).after == VERSION
        other.invalidate()


def test_two_migrations_without_a_lock_break_nothing(empty):
    # As behind a proxy that hands out a session for each statement.
    program = (
        "import sys; from sqlalchemy import make_url; from db import engine, upgrade;"
        " upgrade._wait_alone = lambda _: None;"
        " upgrade.migrate(engine.connect(make_url(sys.argv[1])))"
    )
    url = empty.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", program, url]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    for one in both:
        one.wait(60)
    assert migrate(empty).after == VERSION
    assert differences(empty) == []
    # What the slower of two may leave behind.
    with empty.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    assert migrate(empty) == (VERSION, VERSION, [], [])
    with empty.connect() as connection:
        assert connection.scalars(text("SELECT * FROM alembic_version")).all() == [VERSION]


def test_old_dead_letters_are_migrated_in_portions(empty):
    bring_to(empty, "0002")
    with empty.begin() as connection:
        rows = [{"at": n, "value": b"%d" % n} for n in range(1201)]
        # Ids with holes, as after a purge.
        connection.execute(INSERT_LETTER, rows)
        connection.execute(text("DELETE FROM dead_letters WHERE kafka_offset BETWEEN 100 AND 900"))
    updates = []

    def note(_connection, cursor, statement, *_):
        if statement.startswith("UPDATE dead_letters"):
            updates.append(cursor.rowcount)

    event.listen(empty, "after_cursor_execute", note)
    migrate(empty)
    assert sum(updates) == 400
    assert all(size == len(value) for value, size, _ in dead_letter_rows(empty))
    assert all(digest == sha256(value).digest() for value, _, digest in dead_letter_rows(empty))


def test_previous_version_still_writes_dead_letters(empty):
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(INSERT_LETTER, {"at": 1, "value": b"x"})
    with pytest.raises(IntegrityError), empty.begin() as connection:
        connection.execute(INSERT_LETTER, {"at": 1, "value": b"x"})
    assert dead_letter_rows(empty) == [(b"x", None, b"unknown, written by an older app")]


def test_dead_letters_are_found_by_position_with_the_key(empty):
    migrate(empty)
    with empty.connect() as connection:
        plan = (
            connection.execute(
                text(
                    "EXPLAIN FORMAT=TRADITIONAL SELECT id FROM dead_letters"
                    " WHERE consumer_group = 'g' AND kafka_topic = 't'"
                    " AND kafka_partition = 0 AND kafka_offset = 5"
                )
            )
            .mappings()
            .one()
        )
    assert plan["key"] == "uq_dead_letters"
