"""Migrations: killed after any statement they are run again, and old rows get what is new."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count

import pytest
from alembic import command
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import IntegrityError

from db import upgrade
from db.engine import connect
from db.schema import VERSION
from db.tables import metadata
from db.upgrade import alembic_config, migrate
from local import ROOT
from pipeline.errors import FatalError

_INSERT = text(
    "INSERT INTO dead_letters (consumer_group, kafka_topic, kafka_partition, kafka_offset, reason,"
    " detail, value, created_at) VALUES ('g', 't', 0, :at, 'malformed', 'd', :value, NOW())"
)


class Killed(BaseException):
    """In place of SIGKILL: nothing that runs catches it."""


@pytest.fixture
def empty(database_url):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    yield engine
    engine.dispose()


def bring_to(engine, revision):
    config = alembic_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


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
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)


def letters(engine):
    with engine.connect() as connection:
        return connection.execute(
            text("SELECT value, value_bytes, value_sha256 FROM dead_letters ORDER BY id")
        ).all()


def kill_anywhere(mariadb, database_url, start, values):
    """Kill the migrations after each of their statements, and see that they can be run again."""
    name = database_url.rpartition("/")[2]
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    for number in count(1):
        mariadb.execute(f"DROP DATABASE {name}")
        mariadb.create_database(name)
        if start:
            bring_to(engine, start)
            with engine.begin() as connection:
                connection.execute(_INSERT, [{"at": n, "value": v} for n, v in enumerate(values)])
        killed = migrate_killed_after(engine, number)
        assert migrate(engine).after == VERSION
        assert differences(engine) == [], number
        assert letters(engine) == [
            (value, None if value is None else len(value), sha256(value or b"").digest())
            for value in values
        ], number
        if not killed:
            break
    assert number > 5
    engine.dispose()


def test_a_migration_killed_after_any_statement_is_run_again(mariadb, database_url):
    kill_anywhere(mariadb, database_url, "0002", [b"abc", None, b"", b"\x00\xff" * 5000])


def test_the_first_migration_killed_after_any_statement_is_run_again(mariadb, database_url):
    kill_anywhere(mariadb, database_url, None, [])


def test_two_migrations_at_once_are_one(database_url, migrate_cli):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(migrate_cli, [database_url] * 2))
    assert [one.returncode for one in done] == [0, 0], done
    said = sorted(one.stdout for one in done)
    already = f"The schema is at version {VERSION} already.\n"
    assert said == [already, f"The schema went from version none to {VERSION}.\n"]


def test_whoever_waits_too_long_is_told_for_whom(empty, mariadb, database_url, monkeypatch):
    monkeypatch.setattr(upgrade, "LOCK_TIMEOUT", 1)
    with empty.connect() as other:
        upgrade._wait_alone(other)
        session = other.scalar(text("SELECT CONNECTION_ID()"))
        with pytest.raises(FatalError, match=rf"connection {session} \(flash_sale from 127"):
            migrate(empty)
        # Another database's migration has nothing to do with it.
        elsewhere = mariadb.create_database("migrated_beside")
        beside = connect(make_url(elsewhere).set(drivername="mysql+pymysql"))
        assert migrate(beside).before is None
        beside.dispose()
        mariadb.drop_database("migrated_beside")
        # However it ends, its lock ends with its connection.
        mariadb.execute(f"KILL {session}")
        assert migrate(empty).after == VERSION
        other.invalidate()


def test_where_no_lock_holds_two_at_once_break_nothing(empty):
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
    assert migrate(empty) == (VERSION, VERSION, [])
    with empty.connect() as connection:
        assert connection.scalars(text("SELECT * FROM alembic_version")).all() == [VERSION]


def test_old_letters_are_described_in_portions(empty):
    bring_to(empty, "0002")
    with empty.begin() as connection:
        rows = [{"at": n, "value": b"%d" % n} for n in range(1201)]
        # Ids with holes, as after a purge.
        connection.execute(_INSERT, rows)
        connection.execute(text("DELETE FROM dead_letters WHERE kafka_offset BETWEEN 100 AND 900"))
    updates = []

    def note(_connection, cursor, statement, *_):
        if statement.startswith("UPDATE dead_letters"):
            updates.append(cursor.rowcount)

    event.listen(empty, "after_cursor_execute", note)
    migrate(empty)
    assert sum(updates) == 400
    assert all(size == len(value) for value, size, _ in letters(empty))
    assert all(digest == sha256(value).digest() for value, _, digest in letters(empty))


def test_a_worker_of_the_version_before_goes_on_writing_letters(empty):
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(_INSERT, {"at": 1, "value": b"x"})
    with pytest.raises(IntegrityError), empty.begin() as connection:
        connection.execute(_INSERT, {"at": 1, "value": b"x"})
    assert letters(empty) == [(b"x", None, b"unknown, written by an older app")]


def test_letters_are_found_by_position_through_the_key(empty):
    migrate(empty)
    with empty.connect() as connection:
        plan = (
            connection.execute(
                text(
                    "EXPLAIN SELECT id FROM dead_letters WHERE consumer_group = 'g'"
                    " AND kafka_topic = 't' AND kafka_partition = 0 AND kafka_offset = 5"
                )
            )
            .mappings()
            .one()
        )
    assert plan["key"] == "uq_dead_letters"
