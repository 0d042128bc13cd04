"""An events table from before this app: what it would do to rows, and the ALTER that fixes it."""

import json
import re

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.dialects import mysql

from agents.flash_sales import FLASH_SALES
from checks.storing import Answer, ask_database
from db.engine import connect
from db.refused_rows import RowInserter
from db.rows import STATEMENT_BYTES
from db.table_checks import look_at_tables
from db.tables import ROW_COLUMNS, flash_sale_events
from pipeline.chunk import Chunk
from pipeline.errors import RowError
from tests.integration.test_writer import record
from tests.support import rows, wait_until

DIALECT = mysql.dialect()
COLUMNS: dict[str, str | None] = {
    "id": "BIGINT AUTO_INCREMENT PRIMARY KEY",
    **{name: f"{flash_sale_events.c[name].type.compile(DIALECT)} NULL" for name in ROW_COLUMNS},
}
EVENT: dict[str, object] = {
    "event_id": "e",
    "user_id": "u",
    "product_id": "p",
    "category": "c",
    "event_type": "view",
    "price": 19.999,
    "quantity": 3,
    "timestamp": "2026-11-27 10:00:00",
}


def ddl(*more, options="CHARSET=utf8mb4", name="flash_sale_events", **columns):
    """The table as the app makes it, but for what is given."""
    spelled = [f"{name} {kind}" for name, kind in (COLUMNS | columns).items() if kind]
    return f"CREATE TABLE {name} ({', '.join([*spelled, *more])}) {options}"


NOW = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
DAYS = (
    "CHARSET=utf8mb4 PARTITION BY RANGE COLUMNS (ts) (PARTITION p0 VALUES LESS THAN ('2026-12-01'))"
)
TRIGGER = (
    "CREATE TRIGGER shout BEFORE INSERT ON flash_sale_events FOR EACH ROW"
    " SET NEW.category = UPPER(NEW.category)"
)

#: The table; what is said of it; an event; and what becomes of it there: values, a refusal or None
#: where no worker gets that far.
REFUSED = {
    "myisam": (ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"), "MyISAM, which has no transactions"),
    "memory": (ddl(options="ENGINE=MEMORY CHARSET=utf8mb4"), "MEMORY, which has no transactions"),
    "ts_now": (ddl(ts=f"{NOW} ON UPDATE CURRENT_TIMESTAMP"), "a TIMESTAMP that is NOT NULL"),
    "ts_not_null": (ddl(ts="TIMESTAMP NOT NULL DEFAULT '2000-01-01'"), "a TIMESTAMP that is NOT"),
    "ts_date": (ddl(ts="DATE"), "ts is date, which does not hold a time"),
    "ts_number": (ddl(ts="BIGINT"), r"ts is bigint\S*, which does not hold a time"),
    "price_int": (ddl(price="INT"), r"price is int\S*, which cuts or refuses fractions"),
    "price_text": (ddl(price="VARCHAR(20)"), "price is varchar.20., which cuts or refuses"),
    "quantity_float": (ddl(quantity="FLOAT"), "quantity is float, which does not hold every"),
    "user_number": (ddl(user_id="INT"), r"user_id is int\S*, which refuses or changes texts"),
    "no_id": (ddl(id=None), "no column id"),
    "no_id_but_key": (
        ddl("PRIMARY KEY (event_id)", id=None, event_id="VARCHAR(50) NOT NULL"),
        "no column id",
    ),
    "id_key": (ddl(id="BIGINT PRIMARY KEY"), "id is not AUTO_INCREMENT"),
    "id_alone": (ddl(id="BIGINT"), "id is not AUTO_INCREMENT"),
    "no_revenue": (ddl(revenue=None), "no column revenue"),
    "generated": (ddl(revenue="FLOAT AS (price * quantity) STORED"), "is a generated column"),
    "virtual": (ddl(revenue="FLOAT AS (price * quantity) VIRTUAL"), "is a generated column"),
    "extra": (ddl(shop="INT NOT NULL"), "a column shop that must be given and has no default"),
    "extra_text": (ddl(shop="VARCHAR(9) NOT NULL"), "a column shop that must be given"),
}
WARNED: dict[str, tuple[object, str, dict[str, object], dict[str, object] | None]] = {
    "latin1": (ddl(options="CHARSET=latin1"), "latin1, which lacks char", {"user_id": "😀"}, None),
    "utf8mb3": (ddl(options="CHARSET=utf8"), "utf8\\S*, which lacks char", {"user_id": "😀"}, None),
    "one_column": (
        ddl(category="VARCHAR(50) CHARACTER SET latin1"),
        "keeps category in latin1",
        {"category": "ж"},
        None,
    ),
    "narrow": (
        ddl(user_id="VARCHAR(20)"),
        r"user_id is varchar\(20\), and events have up to 50 characters",
        {"user_id": "u" * 21},
        None,
    ),
    "char": (
        ddl(category="CHAR(50)"),
        "drops spaces at the end",
        {"category": "c "},
        {"category": "c"},
    ),
    "enum": (ddl(event_type="ENUM('cart')"), "events with another value become", {}, None),
    "type_not_null": (
        ddl(event_type="VARCHAR(20) NOT NULL"),
        "event_type is NOT NULL: events without one",
        {"event_type": None},
        None,
    ),
    "price_decimal": (
        ddl(price="DECIMAL(10,2)", revenue="DECIMAL(12,2)"),
        "rounded to 2 digits",
        {},
        {"price": 20, "revenue": 60},
    ),
    "price_float_digits": (ddl(price="FLOAT(10,2)"), "rounded to 2 digits", {}, {"price": 20}),
    "price_unsigned": (ddl(price="FLOAT UNSIGNED"), "a negative amount", {"price": -1}, None),
    "quantity_small": (ddl(quantity="SMALLINT"), "a larger quantity", {"quantity": 32768}, None),
    "quantity_unsigned": (
        ddl(quantity="INT UNSIGNED"),
        "a negative quantity",
        {"quantity": -1},
        None,
    ),
    "ts_datetime_not_null": (
        ddl(ts="DATETIME NOT NULL"),
        "ts is NOT NULL: events without one",
        {"timestamp": None},
        None,
    ),
    "ts_on_update": (
        ddl(ts="TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP"),
        "ts becomes the present time whenever another program updates its row",
        {"timestamp": None},
        {"ts": None},
    ),
    "ts_text": (
        ddl(ts="VARCHAR(30)"),
        "a text and not a time",
        {},
        {"ts": "2026-11-27 10:00:00"},
    ),
    "id_int": (
        ddl(id="INT AUTO_INCREMENT PRIMARY KEY"),
        r"id is int\S*, of whose 2147483647 numbers 0 \(0%\) are used",
        {},
        {"id": 1},
    ),
    "unique": (ddl("UNIQUE KEY once (event_id)"), r"unique index once \(event_id\)", {}, {}),
    "partitions": (
        ddl("KEY (id)", id="BIGINT AUTO_INCREMENT", ts="DATETIME", options=DAYS),
        "is partitioned: events for which there is no partition become",
        {"timestamp": "2026-12-01 00:00:00"},
        None,
    ),
    "trigger": (
        [ddl(), TRIGGER],
        "a trigger shout, which runs for each row",
        {},
        {"category": "C"},
    ),
    "namesake": (
        [ddl(), ddl(name="Flash_Sale_Events")],
        "a table Flash_Sale_Events too, whose name differs",
        {},
        {},
    ),
}
FINE = {
    "as_it_was": ddl(),
    "wider": ddl(user_id="VARCHAR(255)", category="TEXT", price="DOUBLE", quantity="BIGINT"),
    "ts_datetime": ddl(ts="DATETIME"),
    "ts_default": ddl(ts="TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP"),
    "ts_fractions": ddl(ts="TIMESTAMP(6) NULL"),
    "required": ddl(event_id="VARCHAR(50) NOT NULL", price="FLOAT NOT NULL"),
    "extra": ddl(a="INT", b="INT NOT NULL DEFAULT 1", c="INT AS (quantity) STORED", d=NOW),
    "extra_enum": ddl(kind="ENUM('a') NOT NULL"),
    "partitions": ddl(options="CHARSET=utf8mb4 PARTITION BY HASH (id) PARTITIONS 2"),
    "index": ddl("KEY (ts)", "KEY (category)", "UNIQUE KEY (id, event_id)"),
    "unsigned": ddl(id="BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY"),
    "names": ddl(event_id=None, Event_ID="VARCHAR(50)"),
}


@pytest.fixture
def bare(database_url):
    """The engine on a database that has nothing: for what one table says of itself."""
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    yield engine
    engine.dispose()


def make(engine, statements):
    """Make the events table, in place of the one that is there."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS flash_sale_events")
        for statement in [statements] if isinstance(statements, str) else statements:
            connection.exec_driver_sql(statement)


def look(engine):
    with engine.connect() as connection:
        found = look_at_tables(connection)
    return [one for one in found if not re.fullmatch(r"the table \w+ is missing", one.found)]


def run(engine, statement):
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def store(engine, **fields):
    """Insert the row of an event as a write does."""
    chunk = Chunk.transform(
        FLASH_SALES, "t", 0, 0, 1, [record(0, json.dumps(EVENT | fields).encode())]
    )
    with engine.begin() as connection:
        session = connection.scalar(text("SELECT CONNECTION_ID()"))
        [refused] = RowInserter().insert(connection, [chunk], STATEMENT_BYTES, session)
    for detail in refused.values():
        raise RowError(detail)


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_spoils_or_refuses_all_is_refused_and_its_alter_fixes_it(name, bare):
    statement, said = REFUSED[name]
    make(bare, statement)
    [found] = [one for one in look(bare) if one.refused]
    assert re.search(said, found.found), found
    assert found.hint.startswith("ALTER TABLE flash_sale_events ")
    run(bare, found.hint.partition(", and fill")[0])
    assert [one for one in look(bare) if one.refused] == []
    store(bare, timestamp=None)


@pytest.mark.parametrize("name", WARNED)
def test_a_table_that_costs_single_rows_is_warned_of_and_its_alter_fixes_it(
    name, bare, database_url
):
    statement, said, event, becomes = WARNED[name]
    make(bare, statement)
    found = look(bare)
    assert not any(one.refused for one in found)
    assert re.search(said, found[0].found), found
    if becomes is None:
        with pytest.raises(RowError):
            store(bare, **event)
    else:
        store(bare, **event)
        [row] = rows(database_url)
        assert {field: row[field] for field in becomes} == becomes
        run(bare, "DELETE FROM flash_sale_events")
    if name == "namesake":
        return
    for one in found:
        run(bare, one.hint.partition(", unless")[0])
    assert look(bare) == []
    if name != "partitions":
        store(bare, **event)


@pytest.mark.parametrize("name", FINE)
def test_a_table_that_takes_all_rows_is_not_spoken_of(name, bare):
    make(bare, FINE[name])
    assert look(bare) == []
    store(bare, timestamp=None, product_id=None, event_type=None, user_id="u" * 50)


def test_a_view_in_its_place_is_refused(bare):
    make(
        bare, [ddl(name="old_events"), "CREATE VIEW flash_sale_events AS SELECT * FROM old_events"]
    )
    [found] = look(bare)
    assert found.refused
    assert found.found.startswith("flash_sale_events is a view")


def test_an_id_that_is_full_is_refused(bare):
    make(bare, [ddl(id="INT AUTO_INCREMENT PRIMARY KEY")])
    run(bare, "INSERT INTO flash_sale_events (id) VALUES (1932735283)")
    [found] = look(bare)
    assert "1932735283 (90%) are used" in found.found
    assert not found.refused
    run(bare, "INSERT INTO flash_sale_events (id) VALUES (2147483647)")
    [found] = look(bare)
    assert found.refused
    run(bare, found.hint)
    store(bare)


def test_constraints_of_ones_own_are_spoken_of(bare, mariadb):
    products = "CREATE TABLE products (id VARCHAR(50) PRIMARY KEY) CHARSET=utf8mb4"
    key = "CONSTRAINT known FOREIGN KEY (product_id) REFERENCES products (id)"
    make(bare, [products, ddl(key, "CONSTRAINT paid CHECK (price >= 0)")])
    found = {one.found.partition(":")[0]: one.hint for one in look(bare)}
    expected = {
        "flash_sale_events has a FOREIGN KEY known": "DROP FOREIGN KEY `known`",
        "flash_sale_events has a CHECK paid": "DROP CONSTRAINT `paid`",
    }
    with bare.connect() as connection:
        if "MariaDB" not in str(connection.scalar(text("SELECT VERSION()"))):
            del expected["flash_sale_events has a CHECK paid"]  # 8.0.15 reads and forgets it.
    assert found == {one: f"ALTER TABLE flash_sale_events {end}" for one, end in expected.items()}
    with pytest.raises(RowError):
        store(bare)


@pytest.mark.parametrize("table", ["batches", "rollup_state"])
def test_the_apps_own_tables_must_have_transactions(table, migrated_engine):
    run(migrated_engine, f"ALTER TABLE {table} ENGINE=MyISAM")
    [found] = look(migrated_engine)
    assert found.refused
    run(migrated_engine, found.hint)
    assert look(migrated_engine) == []


def test_an_account_is_told_only_what_it_may_see(bare, database_url, mariadb):
    make(bare, [ddl(id="INT AUTO_INCREMENT PRIMARY KEY"), TRIGGER])
    database = database_url.rpartition("/")[2]
    mariadb.execute("CREATE USER IF NOT EXISTS 'inserts'@'127.0.0.1' IDENTIFIED BY 'x'")
    try:
        columns = ", ".join(name for name in COLUMNS if name != "id")
        for right in (f"INSERT ({columns})", "INSERT"):
            mariadb.execute(
                f"GRANT {right} ON `{database}`.flash_sale_events TO 'inserts'@'127.0.0.1'"
            )
            engine = connect(bare.url.set(username="inserts", password="x"))
            # Not that a column it has no right on is missing; whether it sees triggers is the
            # server's.
            found = [one.found for one in look(engine) if "trigger" not in one.found]
            assert not found or "id is int" in found[0]
            assert len(found) == (right == "INSERT")
            engine.dispose()
    finally:
        mariadb.execute("DROP USER 'inserts'@'127.0.0.1'")


def test_a_worker_does_not_start_on_a_table_without_transactions(
    worker, faust, migrated_engine, migrated_url, produce
):
    make(migrated_engine, ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"))
    produce([json.dumps(EVENT).encode()])
    running = worker()
    assert running.wait(40) == 1
    last = running.log_text()
    assert "no transactions: what a write that fails has stored would stay" in last
    assert "ALTER TABLE flash_sale_events ENGINE=InnoDB." in last
    assert "Traceback" not in last
    checked = faust("check", status=1)
    assert "→ ALTER TABLE flash_sale_events ENGINE=InnoDB\n" in checked
    assert "A worker would not run: 1 problem to fix" in checked
    # A rehearsal cannot be rolled back there.
    assert rows(migrated_url) == []
    assert "ALTER TABLE flash_sale_events ENGINE=InnoDB" in faust("migrate")


def test_a_worker_says_what_costs_rows_and_starts(
    worker, faust, migrated_url, produce, migrated_engine
):
    make(migrated_engine, ddl(options="CHARSET=latin1"))
    produce([json.dumps(EVENT).encode()])
    running = worker()
    wait_until(lambda: rows(migrated_url), 40, "the event is stored")
    said = "If that is not meant: ALTER TABLE flash_sale_events CONVERT TO CHARACTER SET utf8mb4"
    assert said in running.log_text()
    checked = faust("check")
    assert "→ ALTER TABLE flash_sale_events CONVERT TO CHARACTER SET utf8mb4\n" in checked


def test_a_sample_is_what_the_database_says(faust, produce, migrated_engine, migrated_url):
    make(migrated_engine, ddl("CONSTRAINT paid CHECK (price >= 0)", options="CHARSET=latin1"))
    odd: list[dict[str, object]] = [{"user_id": "😀"}, {"price": -1}, {"user_id": "u" * 51}]
    produce([json.dumps(EVENT | one).encode() for one in [{}, *odd, {}]])
    said = faust("check", "--sample", 100)
    assert re.search(r"would be stored +2$", said, re.MULTILINE)
    assert re.search(r"unstorable +3, such as \S+: (the database says: |user_id has 51)", said)
    assert "The database was asked: all rows were inserted, and rolled back." in said
    assert rows(migrated_url) == []


def test_where_an_insert_could_not_be_taken_back_the_database_is_not_asked(migrated_engine):
    sample = [record(0, json.dumps(EVENT).encode()), record(1, b"bad")]
    assert ask_database(migrated_engine, sample) == Answer()
    make(migrated_engine, [ddl(user_id="INT UNSIGNED NOT NULL DEFAULT 1"), TRIGGER])
    assert "user_id is int" in ask_database(migrated_engine, sample).not_asked
    make(migrated_engine, [ddl(), TRIGGER])
    assert "a trigger runs for each row" in ask_database(migrated_engine, sample).not_asked
    make(migrated_engine, ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"))
    assert "has no transactions" in ask_database(migrated_engine, sample).not_asked
    with migrated_engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM flash_sale_events")) == 0
    nowhere = connect(make_url("mysql+pymysql://u:s3cret@127.0.0.1:1/d"))
    assert ask_database(nowhere, sample).not_asked.startswith("MySQL error 2003: Can't connect")
