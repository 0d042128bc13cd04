"""An events table from before this app: what it would do to rows, and the ALTER that fixes it."""

import json
import re

import pytest
from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from checks.storing import Answer, ask_database
from db.connection.engine import connect
from db.schema.checks import inspect_tables
from db.schema.upgrade import migrate
from db.write.row_store import RowStore
from pipeline.chunk import Chunk
from pipeline.errors import RowError
from pipeline.partition import Partition
from tests.helpers.accounts import dba, server_of
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.old_tables import COLUMNS, EVENT, FINE, REFUSED, TRIGGER, WARNED, ddl
from tests.helpers.sink import record, write
from tests.helpers.worker import rows, wait_until


def make(engine, statements):
    """Make the events table, in place of the one that is there."""
    with dba(engine).begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS flash_sale_events")
        for statement in [statements] if isinstance(statements, str) else statements:
            connection.exec_driver_sql(statement)


def look(engine):
    with engine.connect() as connection:
        found = inspect_tables(connection)
    return [one for one in found if not re.fullmatch(r"the table \w+ is missing", one.found)]


def run(engine, statement):
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def let_see_triggers(engine):
    """MySQL shows them to who might make some, and neither account of the documentation may."""
    account = f"{engine.url.username}@127.0.0.1"
    server_of(engine).execute(f"GRANT TRIGGER ON {engine.url.database}.* TO {account}")
    # A session keeps the rights that it was opened with.
    engine.dispose()


def store(engine, **fields):
    """Insert the row of an event as a write does."""
    chunk = Chunk.transform(
        FLASH_SALES, Partition("t", 0), 0, 1, [record(0, json.dumps(EVENT | fields).encode())]
    )
    with engine.begin() as connection:
        [refused] = RowStore().store(write(connection), [chunk]).refused
    for detail in refused.values():
        raise RowError(detail)


@pytest.mark.parametrize("name", REFUSED)
def test_an_incompatible_table_is_rejected_with_its_fix(name, empty):
    statement, said = REFUSED[name]
    make(empty, statement)
    [found] = [one for one in look(empty) if one.refused]
    assert re.search(said, found.found), found
    assert found.hint.startswith("ALTER TABLE flash_sale_events ")
    run(empty, found.hint.partition(", and fill")[0])
    assert [one for one in look(empty) if one.refused] == []
    store(empty, timestamp=None)


@pytest.mark.parametrize("name", WARNED)
def test_lossy_table_is_a_warning_and_its_alter_fixes_it(name, empty, database_url):
    statement, said, event, becomes = WARNED[name]
    make(empty, statement)
    if name == "trigger":
        let_see_triggers(empty)
    found = look(empty)
    assert not any(one.refused for one in found)
    assert re.search(said, found[0].found), found
    if becomes is None:
        with pytest.raises(RowError):
            store(empty, **event)
    else:
        store(empty, **event)
        [row] = rows(database_url)
        assert {field: row[field] for field in becomes} == becomes
        run(empty, "DELETE FROM flash_sale_events")
    if name == "namesake":
        return
    for one in found:
        run(empty, one.hint.partition(", unless")[0])
    assert look(empty) == []
    if name != "partitions":
        store(empty, **event)


@pytest.mark.parametrize("name", FINE)
def test_compatible_table_causes_no_warning(name, empty):
    make(empty, FINE[name])
    assert look(empty) == []
    store(empty, timestamp=None, product_id=None, event_type=None, user_id="u" * 50)


def test_view_instead_of_a_table_is_rejected(empty):
    make(
        empty, [ddl(name="old_events"), "CREATE VIEW flash_sale_events AS SELECT * FROM old_events"]
    )
    [found] = look(empty)
    assert found.refused
    assert found.found.startswith("flash_sale_events is a view")


def test_full_id_column_is_rejected(empty):
    make(empty, [ddl(id="INT AUTO_INCREMENT PRIMARY KEY")])
    run(empty, "INSERT INTO flash_sale_events (id) VALUES (1932735283)")
    [found] = look(empty)
    assert "1932735283 (90%) are used" in found.found
    assert not found.refused
    run(empty, "INSERT INTO flash_sale_events (id) VALUES (2147483647)")
    [found] = look(empty)
    assert found.refused
    run(empty, found.hint)
    store(empty)


def test_own_constraints_cause_a_warning(empty):
    products = "CREATE TABLE products (id VARCHAR(50) PRIMARY KEY) CHARSET=utf8mb4"
    key = "CONSTRAINT known FOREIGN KEY (product_id) REFERENCES products (id)"
    make(empty, [products, ddl(key, "CONSTRAINT paid CHECK (price >= 0)")])
    found = {one.found.partition(":")[0]: one.hint for one in look(empty)}
    expected = {
        "flash_sale_events has a FOREIGN KEY known": "DROP FOREIGN KEY `known`",
        "flash_sale_events has a CHECK paid": "DROP CONSTRAINT `paid`",
    }
    assert found == {one: f"ALTER TABLE flash_sale_events {end}" for one, end in expected.items()}
    with pytest.raises(RowError):
        store(empty)


@pytest.mark.parametrize("table", ["batches", "rollup_state"])
def test_tables_without_transactions_are_rejected(table, migrated_engine):
    # MyISAM's keys hold fewer bytes.
    shorter = "DROP INDEX ix_batches_written, " if table == "batches" else ""
    run(dba(migrated_engine), f"ALTER TABLE {table} {shorter}ENGINE=MyISAM")
    [found] = look(migrated_engine)
    assert found.refused
    run(dba(migrated_engine), found.hint)
    assert look(migrated_engine) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("stream_offsets DROP PRIMARY KEY", "no unique index over consumer_group, kafka_topic"),
        (
            "dead_letters DROP INDEX uq_dead_letters, ADD UNIQUE INDEX uq_dead_letters"
            " (consumer_group, kafka_topic, kafka_partition, kafka_offset, value_sha256)",
            "no unique index over .*, kafka_offset, value_sha256, kafka_ts_key",
        ),
        (
            "dead_letters DROP INDEX uq_dead_letters, DROP COLUMN kafka_ts_key,"
            " ADD COLUMN kafka_ts_key DATETIME(3), ADD UNIQUE INDEX uq_dead_letters"
            " (consumer_group, kafka_topic, kafka_partition, kafka_offset, value_sha256,"
            " kafka_ts_key)",
            "kafka_ts_key must be a generated column",
        ),
    ],
    ids=["primary", "narrower", "plain"],
)
def test_missing_key_is_rejected_and_its_alter_restores_it(change, said, empty):
    migrate(empty)
    run(empty, f"ALTER TABLE {change}")
    [found] = look(empty)
    assert found.refused
    assert re.search(said, found.found)
    run(empty, found.hint)
    assert look(empty) == []


def test_only_visible_tables_are_reported(empty, database_url, server):
    make(empty, [ddl(id="INT AUTO_INCREMENT PRIMARY KEY"), TRIGGER])
    database = database_url.rpartition("/")[2]
    server.execute("CREATE USER IF NOT EXISTS 'inserts'@'127.0.0.1' IDENTIFIED BY 'x'")
    try:
        columns = ", ".join(name for name in COLUMNS if name != "id")
        for right in (f"INSERT ({columns})", "INSERT"):
            server.execute(
                f"GRANT {right} ON `{database}`.flash_sale_events TO 'inserts'@'127.0.0.1'"
            )
            engine = connect(empty.url.set(username="inserts", password="x"))
            # Not that a column it has no right on is missing; whether it sees triggers is the
            # server's.
            found = [one.found for one in look(engine) if "trigger" not in one.found]
            assert not found or "id is int" in found[0]
            assert len(found) == (right == "INSERT")
            engine.dispose()
    finally:
        server.execute("DROP USER 'inserts'@'127.0.0.1'")


@pytest.mark.slow
@each_server_slow
def test_a_worker_does_not_start_on_a_table_without_transactions(
    worker, faust, migrated_engine, migrated_url, produce
):
    make(migrated_engine, ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"))
    produce([json.dumps(EVENT).encode()])
    running = worker()
    assert running.wait(40) == 1
    last = running.log_text()
    assert "no transactions: rows of a failed write would stay" in last
    assert "ALTER TABLE flash_sale_events ENGINE=InnoDB." in last
    assert "Traceback" not in last
    checked = faust("check", status=1)
    assert "→ ALTER TABLE flash_sale_events ENGINE=InnoDB\n" in checked
    assert "A worker would not run: 1 problem to fix" in checked
    # A rehearsal cannot be rolled back there.
    assert rows(migrated_url) == []
    assert "ALTER TABLE flash_sale_events ENGINE=InnoDB" in faust("migrate")


@each_server_slow
def test_worker_warns_of_a_lossy_table_and_starts(
    worker, faust, migrated_url, produce, migrated_engine
):
    make(migrated_engine, ddl(options="CHARSET=latin1"))
    produce([json.dumps(EVENT).encode()])
    running = worker()
    wait_until(lambda: rows(migrated_url), 40, "the event is stored")
    said = "If that is not intended: ALTER TABLE flash_sale_events CONVERT TO CHARACTER SET utf8mb4"
    assert said in running.log_text()
    checked = faust("check")
    assert "→ ALTER TABLE flash_sale_events CONVERT TO CHARACTER SET utf8mb4\n" in checked


@each_server
def test_sample_matches_the_database(faust, produce, migrated_engine, migrated_url):
    make(migrated_engine, ddl("CONSTRAINT paid CHECK (price >= 0)", options="CHARSET=latin1"))
    odd: list[dict[str, object]] = [{"user_id": "😀"}, {"price": -1}, {"user_id": "u" * 51}]
    produce([json.dumps(EVENT | one).encode() for one in [{}, *odd, {}]])
    said = faust("check", "--sample", 100)
    assert re.search(r"would be stored +2$", said, re.MULTILINE)
    assert re.search(r"unstorable +3, such as \S+: (the database says: |user_id has 51)", said)
    assert "Tested in the database: all rows were inserted and rolled back." in said
    assert rows(migrated_url) == []


def test_sample_inserts_nothing_that_cannot_be_rolled_back(migrated_engine):
    sample = [record(0, json.dumps(EVENT).encode()), record(1, b"bad")]
    assert ask_database(migrated_engine, FLASH_SALES, sample) == Answer()
    let_see_triggers(migrated_engine)
    make(migrated_engine, [ddl(user_id="INT UNSIGNED NOT NULL DEFAULT 1"), TRIGGER])
    assert "user_id is int" in ask_database(migrated_engine, FLASH_SALES, sample).not_asked
    make(migrated_engine, [ddl(), TRIGGER])
    assert (
        "a trigger runs for each row"
        in ask_database(migrated_engine, FLASH_SALES, sample).not_asked
    )
    make(migrated_engine, ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"))
    assert "has no transactions" in ask_database(migrated_engine, FLASH_SALES, sample).not_asked
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM flash_sale_events")) == 0
    nowhere = connect(make_url("mysql+pymysql://u:s3cret@127.0.0.1:1/d"))
    assert ask_database(nowhere, FLASH_SALES, sample).not_asked.startswith(
        "MySQL error 2003: Can't connect"
    )
