"""A release rolled out and back: workers of two versions meet one schema, old or new."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from db.connection.engine import IO_TIMEOUT, connect
from db.schema.tables import metadata
from db.schema.upgrade import alembic_config, migrate
from db.schema.version import VERSION, check, require_compatible, stored_version
from pipeline.errors import FatalError
from tests.helpers.accounts import dba, owner
from tests.helpers.databases import each_server_slow
from tests.helpers.old_schema import bring_to
from tests.helpers.worker import rows, wait_until

EVENT = b'{"event_id": "e%d", "user_id": "u", "product_id": "p", "category": "c"}'

#: What the migration of a newer version might add.
ADDED = [
    *(f"ALTER TABLE {name} ADD COLUMN added INT" for name in metadata.tables),
    "ALTER TABLE batches ADD COLUMN counted INT NOT NULL DEFAULT 0",
    "ALTER TABLE stream_offsets MODIFY COLUMN last_epoch BIGINT",
    "CREATE TABLE added (id INT PRIMARY KEY)",
    "CREATE INDEX added ON flash_sale_events (ts)",
    "UPDATE alembic_version SET version_num = '9999'",
]


def apply(engine, statements):
    with dba(engine).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def version(engine):
    with engine.connect() as connection:
        return stored_version(connection)


@pytest.mark.slow
@each_server_slow
def test_a_release_is_rolled_out_and_back_under_traffic(
    worker, faust, produce, migrated_engine, migrated_url
):
    produce([EVENT % n for n in range(100)])
    running = worker()
    running.wait_stored(migrated_url, 100, 40)
    # Rolled out: the schema changes while this version still writes.
    for number, statement in enumerate(ADDED):
        apply(migrated_engine, [statement])
        produce([EVENT % (100 + number)])
    stored = 100 + len(ADDED)
    running.wait_stored(migrated_url, stored, 40)
    assert "ERROR" not in running.log_text()
    assert running.terminate() == 0

    # Rolled back: its release phase, a look at it, and its workers' start.
    said = faust("migrate")
    assert said == (
        f"The schema is at version 9999, newer than this app's {VERSION}: nothing to do, this "
        "app works with it.\n"
    )
    assert re.search(
        rf"warn  Schema +version 9999, newer than this app's {VERSION}", faust("check")
    )
    produce([EVENT % stored])
    back = worker()
    wait_until(lambda: len(rows(migrated_url)) == stored + 1, 40, "it stores")
    line = f"The database's schema is at version 9999, newer than this app's {VERSION}"
    assert line in back.log_text()
    assert version(migrated_engine) == "9999"
    assert len({row["event_id"] for row in rows(migrated_url)}) == stored + 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("ALTER TABLE stream_offsets DROP COLUMN last_epoch", "no column last_epoch"),
        ("DROP TABLE circuit_breakers", "the table circuit_breakers is missing"),
        (
            "ALTER TABLE batches ADD COLUMN must INT NOT NULL",
            "a column must that is NOT NULL without",
        ),
        (
            "ALTER TABLE stream_offsets MODIFY COLUMN next_offset INT NOT NULL",
            r"next_offset is int\S* NOT NULL, but must hold BIGINT:",
        ),
        (
            "ALTER TABLE dead_letters MODIFY COLUMN value_bytes BIGINT NOT NULL",
            r"value_bytes is bigint\S* NOT NULL, but must hold BIGINT and nulls:",
        ),
        (
            "ALTER TABLE dead_letters MODIFY COLUMN value MEDIUMBLOB",
            "value is mediumblob, but must hold LONGBLOB",
        ),
    ],
)
def test_incompatible_newer_schema_is_refused(changed, said, migrated_engine):
    apply(migrated_engine, [*ADDED, changed])
    refusal = (
        rf"version 9999, newer than this app's {VERSION}, and incompatible: .*{said}.*"
        "; or run the newer app"
    )
    found = check(migrated_engine)
    assert found.is_newer
    with pytest.raises(FatalError, match=refusal):
        require_compatible(found)
    with pytest.raises(FatalError, match=refusal):
        migrate(owner(migrated_engine))
    assert version(migrated_engine) == "9999"


def test_older_schema_is_refused_with_the_command_to_run(migrated_engine):
    apply(migrated_engine, ["UPDATE alembic_version SET version_num = '0001'"])
    with pytest.raises(FatalError, match=f"at version 0001, this app needs {VERSION}: run `faust"):
        check(migrated_engine)


def test_versions_sort_like_their_migrations():
    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    names = [script.revision for script in scripts]
    assert names == sorted(names, reverse=True)
    assert {len(name) for name in names} == {4}
    assert names[0] == VERSION


@pytest.mark.slow
def test_migration_statement_may_take_longer_than_a_workers(database_url, migrate_cli):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    with engine.connect() as connection:
        bring_to(engine, "0002")
        # Its ALTER of this table waits for as long as this transaction is open.
        connection.execute(text("SELECT * FROM dead_letters"))
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(migrate_cli, database_url)
            wait_until(lambda: is_over(connection, IO_TIMEOUT), IO_TIMEOUT + 30)
            assert not running.done(), running.result()
            connection.rollback()
            assert running.result().returncode == 0
    engine.dispose()


def is_over(connection, seconds):
    """Whether a statement has run for longer than this; also keeps the session from idling."""
    found = connection.execute(text("SHOW PROCESSLIST")).all()
    return any(row[4] == "Query" and row[5] > seconds for row in found)
