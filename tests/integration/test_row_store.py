"""Every way of storing rows against inserting each alone: the same rows, the same ones refused."""

from contextlib import suppress
from random import Random
from threading import Timer

import pytest
from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from db.connection.driver import MySQLError
from db.connection.engine import connect
from db.write import insert_values, lenient
from db.write.row_store import RowStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import TransientError
from pipeline.partition import Partition
from tests.helpers.accounts import dba
from tests.helpers.sink import NOW, chunk, constrain, event, record, stored_ids, write

COLUMNS = ", ".join(FLASH_SALES.columns)
_ROWS = f"SELECT {COLUMNS} FROM {{}} ORDER BY id"
#: What the owner of a table may have done to it.
CHANGES = {
    "constraints": (),
    "narrow": ("ALTER TABLE flash_sale_events MODIFY category VARCHAR(6)",),
    "latin1": ("ALTER TABLE flash_sale_events MODIFY event_type VARCHAR(20) CHARACTER SET latin1",),
    "refusing trigger": (
        "CREATE TRIGGER refuse BEFORE INSERT ON flash_sale_events FOR EACH ROW BEGIN IF"
        " NEW.event_type = 'no' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF; END",
    ),
    "changing trigger": (
        "CREATE TRIGGER alter_it BEFORE INSERT ON flash_sale_events FOR EACH ROW"
        " SET NEW.category = CONCAT(NEW.category, '+')",
    ),
    "partitions": (
        "ALTER TABLE flash_sale_events DROP FOREIGN KEY listed",
        "ALTER TABLE flash_sale_events DROP KEY one_a_user, DROP PRIMARY KEY, ADD PRIMARY KEY"
        " (id, quantity) PARTITION BY RANGE (quantity) (PARTITION few VALUES LESS THAN (900))",
    ),
}


@pytest.fixture(params=["load", "ignore", "values"])
def way(request, monkeypatch):
    """Leaves one way, besides the last that takes what no other can."""
    if request.param != "values":
        request.getfixturevalue("proving")
    if request.param != "load":
        monkeypatch.setattr(lenient, "can_load", lambda _: False)
    if request.param == "values":
        monkeypatch.setattr(lenient, "can_prove", lambda _: False)
    return request.param


def events(chance, count):
    """Events of which about a fifth is odd: the table may refuse it, or it only looks so."""
    odd = [
        {"category": "bad"},
        {"product_id": "unlisted"},
        {"category": "toolong"},
        {"event_type": "no"},
        {"event_type": "漢"},
        {"event_type": "q\"\\'\n]\n["},
        {"price": 3.4e38},
        {"quantity": 1000, "price": -0.0},
        {"timestamp": "2026-11-27 10:15:30"},
    ]
    share = chance.choice([0.02, 0.2, 0.9])
    made = []
    for number in range(count):
        user = f"u{number if chance.random() > share / 3 else chance.randrange(3)}"
        fields = chance.choice(odd) if chance.random() < share else {}
        made.append(event(number, **{"category": "good", "user_id": user, **fields}))
    return made


def one_by_one(engine, whole):
    """What the table holds when each row is inserted alone, and the indexes of those refused."""
    refused = {}
    marks = ", ".join(["%s"] * len(FLASH_SALES.columns))
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for index, line in enumerate(whole.rows.split(b"\n")):
            row = [FLASH_SALES.column(name, line)[0] for name in FLASH_SALES.columns]
            try:
                cursor.execute(f"INSERT INTO flash_sale_events ({COLUMNS}) VALUES ({marks})", row)
            except MySQLError as error:
                refused[index] = error.args[1]
        rows = connection.execute(text(_ROWS.format("flash_sale_events"))).all()
        connection.rollback()
    return [tuple(row) for row in rows], refused


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(2))
def test_each_way_stores_what_single_inserts_store(begun, way, ways, change, seed):
    constrain(begun)
    with dba(begun).begin() as connection:
        for statement in CHANGES[change]:
            connection.execute(text(statement))
    chance = Random(f"{change}{seed}")
    store = RowStore()
    for _ in range(3):
        values = events(chance, chance.choice([3, 150, 400]))
        records = [record(number, value) for number, value in enumerate(values)]
        border = chance.randrange(len(records))
        chunks = [
            Chunk.transform(FLASH_SALES, Partition("t", 0), 0, border, records[:border]),
            Chunk.transform(FLASH_SALES, Partition("t", 0), border, len(records), records[border:]),
        ]
        whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
        wanted, refused = one_by_one(begun, whole)
        with begun.connect() as connection:
            found = store.store(write(connection), chunks)
            rows = connection.execute(text(_ROWS.format("flash_sale_events"))).all()
            connection.rollback()
        named = {**found.refused[0]}
        named |= {chunks[0].valid + row: said for row, said in found.refused[1].items()}
        assert len(rows) + len(named) == whole.valid
        assert [tuple(row) for row in rows] == wanted
        assert sorted(named) == sorted(refused)
    assert way in ways


def test_a_rejected_row_has_its_own_message(begun, way):
    constrain(begun)
    values = [
        event(0, user_id="ü"),
        event(1, user_id="b", category="bad"),
        event(2, user_id="ü"),
        event(3, user_id="c", product_id="unlisted"),
    ]
    records = [record(number, value) for number, value in enumerate(values)]
    whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 4, records)
    with begun.connect() as connection:
        [refused] = RowStore().store(write(connection), [whole]).refused
        connection.rollback()
    assert "none_bad" in refused[1]
    assert "Duplicate entry 'ü'" in refused[2]
    # MySQL names the key only to those who may see the other table.
    assert "foreign key constraint" in refused[3]


def test_in_another_session_no_way_stores_a_row(begun, way):
    """Each statement by itself, as a proxy would send it to a session that commits at once."""
    with begun.connect() as connection:
        transaction = write(connection)
        transaction.session += 1
        connection.exec_driver_sql("SET autocommit = 1")
        for refusing in (False, True):
            store = RowStore()
            store._refusing = refusing
            with pytest.raises((MySQLError, TransientError), match=r"1242|ended a transaction"):
                store.store(transaction, [chunk(0, 2)])
        connection.exec_driver_sql("SET autocommit = 0")
    with begun.connect() as connection:
        assert not connection.execute(text(_ROWS.format("flash_sale_events"))).all()


def test_a_write_too_slow_for_its_time_limit_becomes_smaller(migrated_url, begun):
    """Each row takes 4 ms in a trigger, and a statement may take a second."""
    with dba(begun).begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER slow AFTER INSERT ON flash_sale_events FOR EACH ROW DO SLEEP(0.004)"
            )
        )
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"), io_timeout=1)
    writer = Writer(engine, "g", FLASH_SALES, "w")
    pieces = [chunk(0, 800)]
    for attempt in range(1, 9):
        with suppress(TransientError):
            assert writer.write(attempt, NOW, pieces).valid == 800
            break
    engine.dispose()
    assert stored_ids(begun) == [f"e{n}" for n in range(800)]


#: Their product is not counted before the test ends.
LONG = [f"information_schema.columns AS {name}" for name in "abcd"]


def test_a_kill_makes_the_next_statement_smaller(begun, server, monkeypatch, ways):
    sizes = []
    store = RowStore()
    attempt = insert_values.attempt

    def killed(transaction, lines):
        sizes.append(len(lines))
        if len(lines) > 1_000:
            Timer(0.2, server.execute, [f"KILL QUERY {transaction.session}"]).start()
            transaction.execute(f"SELECT COUNT(*) FROM {', '.join(LONG)}")
            pytest.fail("it was not killed")
        return attempt(transaction, lines)

    monkeypatch.setattr(lenient, "can_load", lambda _: False)
    monkeypatch.setattr(insert_values, "attempt", killed)
    for _ in range(9):
        with begun.connect() as connection:
            try:
                store.store(write(connection), [chunk(0, 100)])
            except MySQLError:
                continue
            connection.commit()
            break
    assert stored_ids(begun) == [f"e{n}" for n in range(100)]
    assert sizes[0] > 2 * sizes[-1]


_SENT = "SHOW SESSION STATUS WHERE Variable_name IN ('Com_insert', 'Com_load')"


def test_thousands_of_rejected_rows_cost_few_statements(begun, proving, way):
    """Servers name no more than a thousand refused rows: a load of more is repeated smaller."""
    constrain(begun)
    records = [record(n, event(n, user_id=f"u{n}", category="bad")) for n in range(6_000)]
    bad = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 6_000, records)
    with begun.connect() as connection:
        transaction = write(connection)
        [refused] = RowStore().store(transaction, [bad]).refused
        sent = sum(int(count) for _, count in transaction.execute(_SENT))
        connection.rollback()
    assert len(refused) == 6_000
    if way != "values":
        assert sent < 60
