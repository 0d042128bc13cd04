"""A server of each kind whose globals are all wrong: a session relies on what it has set itself."""

import re

import pytest
from pymysql.err import OperationalError
from sqlalchemy import create_engine, func, make_url, select, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.connection.session_variables import prepare
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Replayer
from db.dead_letters.summary import summarize
from db.letter_search import LetterSearch
from db.reports import Reports
from db.rollup.watermark import join
from db.schema.sales_tables import flash_sale_events
from db.schema.upgrade import make_index, migrate
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from dev.servers.database import private_server
from models.fields import FIELD_NAMES
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers import sales
from tests.helpers.accounts import WORKER, dba, grant, make_accounts, owner
from tests.helpers.databases import each_server, require
from tests.helpers.duplicates import chunk_of, value
from tests.helpers.partitions import of_topic
from tests.helpers.sink import NOW, dead_letter_rows, event, record, stored_ids, stored_offsets
from tests.helpers.sums import assert_sums_true, settle
from tests.helpers.worker import wait_until
from tests.integration.test_migrations import differences

_MODES = (
    "ANSI_QUOTES,PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,"
    "REAL_AS_FLOAT,PAD_CHAR_TO_FULL_LENGTH,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
)
#: What an ordinary account's session begins with.
_INIT = (
    "SET NAMES latin1; SET SESSION TRANSACTION READ ONLY;"
    " SET SESSION sql_mode = 'ANSI_QUOTES', foreign_key_checks = 0, unique_checks = 0,"
    " time_zone = '-03:00', sql_quote_show_create = 0, sql_auto_is_null = 1"
)
_EVERYWHERE = (
    "--transaction-isolation=SERIALIZABLE",
    "--autocommit=0",
    "--completion-type=CHAIN",
    "--max-allowed-packet=1M",
    "--wait-timeout=5",
    "--net-read-timeout=2",
    "--innodb-lock-wait-timeout=1",
    "--group-concat-max-len=4",
    "--max-join-size=10",
    "--max-error-count=0",
    "--max-sort-length=64",
    "--explicit-defaults-for-timestamp=OFF",
    "--default-storage-engine=MyISAM",
    "--innodb-default-row-format=COMPACT",
    "--auto-increment-increment=7",
    "--auto-increment-offset=3",
    "--lc-messages=de_DE",
)
_OPTIONS = {
    "mariadb": (
        f"--sql-mode={_MODES},ORACLE,EMPTY_STRING_IS_NULL,TIME_ROUND_FRACTIONAL",
        "--old-mode=NO_DUP_KEY_WARNINGS_WITH_IGNORE,NO_PROGRESS_INFO,ZERO_DATE_TIME_CAST",
        "--alter-algorithm=INSTANT",
        "--skip-character-set-client-handshake",
        f"--init-connect={_INIT}, max_statement_time = 0.05",
        "--idle-transaction-timeout=1",
        "--idle-write-transaction-timeout=1",
    ),
    "mysql": (
        f"--sql-mode={_MODES},TIME_TRUNCATE_FRACTIONAL",
        f"--init-connect={_INIT}",
        "--sql-require-primary-key=ON",
    ),
}
#: Those that no option sets.
_GLOBALS = {
    "sql_select_limit": 50,
    "sql_safe_updates": 1,
    "sql_notes": 0,
    "unique_checks": 0,
    "foreign_key_checks": 0,
    "sql_auto_is_null": 1,
    "sql_quote_show_create": 0,
}
_GLOBALS_OF = {
    "mariadb": {"check_constraint_checks": 0},
    "mysql": {"max_execution_time": 1, "sql_generate_invisible_primary_key": 1},
}


@pytest.fixture(scope="module")
def server(request, folder):
    """In place of the session's server."""
    require(request.param)
    kind = request.param.partition("-")[0]
    hostile = private_server(
        folder / f"{request.param}-hostile",
        request.param,
        charset="latin1",
        time_zone="+09:30",
        options=_EVERYWHERE + _OPTIONS[kind],
    )
    with hostile as running:
        make_accounts(running)
        for name, wrong in (_GLOBALS | _GLOBALS_OF[kind]).items():
            running.execute(f"SET GLOBAL {name} = {wrong}")
        yield running


@pytest.fixture
def migrated_url(server, database_url):
    """In place of the session's: what `migrate` makes here."""
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    migrate(engine)
    engine.dispose()
    return grant(server, WORKER, database_url.rpartition("/")[2])


def test_it_is_hostile(server):
    for name, wrong in _GLOBALS.items():
        [(found,)] = server.execute(f"SELECT @@GLOBAL.{name}")
        assert found == wrong, name


def test_migrate_makes_the_same_tables(empty):
    assert migrate(empty).before is None
    assert differences(empty) == []
    with empty.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT table_name, engine, table_collation FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            )
        ).all()
    assert {engine for _, engine, _ in tables} == {"InnoDB"}
    assert {name for name, _, it in tables if "utf8mb4" not in it} == {"alembic_version"}
    assert migrate(empty).changes == []


@pytest.mark.parametrize("local_infile", ["ON", "OFF"])
def test_rows_stored_and_rows_refused_are_the_rows_given(begun, server, local_infile):
    server.execute(f"SET GLOBAL local_infile = {local_infile}")
    with dba(begun).begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE products (product_id VARCHAR(50) PRIMARY KEY) "
                "ENGINE=InnoDB CHARSET=utf8mb4"
            )
        )
        connection.execute(text("INSERT INTO products VALUES ('p')"))
        connection.execute(
            text(
                "ALTER TABLE flash_sale_events ADD UNIQUE one_a_user (user_id),"
                " ADD CONSTRAINT none_bad CHECK (category <> 'bad'),"
                " MODIFY product_id VARCHAR(50) CHARACTER SET utf8mb4,"
                " ADD CONSTRAINT listed FOREIGN KEY (product_id) REFERENCES products (product_id),"
                " ALGORITHM=COPY"
            )
        )
    wrong = ({"category": "bad"}, {"product_id": "q"}, {"user_id": "u0"})
    events = [
        event(n, **({"user_id": f"u{n}"} | (wrong[n // 7 % 3] if n % 7 == 6 else {})))
        for n in range(600)
    ]
    refused = [n for n in range(600) if n % 7 == 6]
    writer = Writer(begun, "g", FLASH_SALES, "w")
    for number, start in enumerate(range(0, 600, 200)):
        records = [record(n, events[n]) for n in range(start, start + 200)]
        writer.write(
            number,
            NOW,
            [Chunk.transform(FLASH_SALES, Partition("t", 0), start, start + 200, records)],
        )
    assert stored_ids(begun) == [f"e{n}" for n in range(600) if n not in refused]
    assert [row.kafka_offset for row in dead_letter_rows(begun)] == refused
    assert stored_offsets(begun)[0] == 600


class OneByOne:
    """A cursor through a proxy that refuses to set several variables at once."""

    def __init__(self, cursor):
        self._cursor = cursor

    def execute(self, statement):
        if statement.count(" = ") > 1:
            raise OperationalError(1105, "not supported")
        self._cursor.execute(statement)


def test_a_proxy_that_refuses_the_statement_costs_nothing(migrated_engine):
    names = ["sql_mode", "time_zone", "sql_select_limit", "foreign_key_checks", "sql_notes"]
    asked = text("SELECT " + ", ".join(f"@@{name}" for name in names))
    with migrated_engine.connect() as connection:
        wanted = connection.execute(asked).one()
    plain = create_engine(migrated_engine.url)
    with plain.connect() as connection:
        assert not set(connection.execute(asked).one()) & set(wanted) - {0, 1}
        prepare(OneByOne(connection.connection.cursor()))
        assert connection.execute(asked).one() == wanted
    plain.dispose()


def test_times_are_utc_and_texts_are_whole(begun):
    odd = "o'\"\\%s;--\x00漢🔥"
    good = event(0, category=odd, timestamp="2026-11-27T10:15:30+02:00", product_id="")
    Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 1, [record(0, good)])]
    )
    with begun.connect() as connection:
        row = connection.execute(select(flash_sale_events)).one()
    assert (row.category, row.product_id, str(row.ts)) == (odd, "", "2026-11-27 08:15:30")


def test_each_id_once(begun):
    make_index(owner(begun))
    writer = Writer(begun, "g", FLASH_SALES, "w", deduplicate=True)
    ids = [f"e{n % 150}" for n in range(300)]
    for number, start in enumerate((0, 100, 200)):
        values = [value(one) for one in ids[start : start + 100]]
        batch = writer.write(number, NOW, [chunk_of(values, start)])
        assert batch.events == batch.valid + batch.duplicate
    assert stored_ids(begun) == ids[:150]
    assert dead_letter_rows(begun) == []


def test_all_dead_letters_are_listed_summed_up_and_replayed(begun):
    records = [record(n, b"no json %d" % n) for n in range(120)]
    Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 120, records)]
    )
    letters = DeadLetters(begun, "g")
    assert letters.count(Filter()) == 120
    assert len(list(letters.find(Filter()))) == 120
    assert sum(one.dead_letters for one in summarize(begun, "g", Filter(), FIELD_NAMES)) == 120
    with begun.begin() as connection:
        for number in range(0, 120, 2):
            connection.execute(
                text(
                    "UPDATE dead_letters SET value = :value, value_bytes = LENGTH(value)"
                    " WHERE kafka_offset = :offset"
                ),
                {"value": event(number), "offset": number},
            )
    done = Replayer(begun, "g", FLASH_SALES, announce=join).replay(Filter())
    assert (done.stored, done.total_refused) == (60, 60)
    assert letters.purge(Filter()) == 120


def test_offsets_of_300_partitions(migrated_engine):
    store = OffsetStore(migrated_engine, "g")
    offsets = of_topic("t", dict.fromkeys(range(300), 7))
    store.begin(offsets)
    assert store.read("t") == offsets
    with migrated_engine.connect() as connection:
        assert len(store.lock(connection, offsets).offsets) == 300
        connection.rollback()


def test_sums_are_true(begun):
    long = "p" * 60
    values = [sales.event(n, product_id=f"{long[: n % 50]}{n % 70}") for n in range(400)]
    Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, [sales.chunk(values)])
    settle(begun)
    assert_sums_true(begun)


def test_reports(begun):
    values = [sales.event(n) for n in range(100)] + [b"bad"] * 60
    Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, [sales.chunk(values)])
    settle(begun)
    reports = Reports(begun)
    assert len(reports.sales()["minutes"]) == 60
    assert len(LetterSearch(begun, "g", FLASH_SALES).find(Filter())) == 20


@each_server
def test_a_worker_and_its_commands(worker, faust, produce, migrated_engine):
    good = [sales.event(n, event_id=f"e{n}") for n in range(500)]
    produce([*good, *(b"no json %d" % n for n in range(100))])
    text_of_check = faust("check", "--sample", 50, CONSUMER_GROUP="new")
    assert not re.search("^(fail|warn)", text_of_check, re.MULTILINE), text_of_check
    running = worker().wait_ready()
    wait_until(lambda: len(stored_ids(migrated_engine)) == 500, 40)
    wait_until(lambda: len(dead_letter_rows(migrated_engine)) == 100, 20)
    assert sorted(stored_ids(migrated_engine)) == sorted(f"e{n}" for n in range(500))
    assert running.request("/dashboard/data/")[0] == 200
    assert running.terminate() == 0
    assert "100 in total" in faust("dead-letters", "list")
    assert "0 stored as rows, 100 refused" in faust("dead-letters", "replay", status=1)
    faust("rollup", "rebuild", "--yes")
    settle(migrated_engine)
    assert_sums_true(migrated_engine)
    with migrated_engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(flash_sale_events)) == 500
