"""Rows by LOAD DATA LOCAL: the same ones as by VALUES, and only what the server has proven."""

import json
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymysql.connections import Connection
from pymysql.err import MySQLError
from sqlalchemy import select, text

from agents.flash_sales import FLASH_SALES
from db.connection import driver
from db.schema.sales_tables import ROW_COLUMNS, flash_sale_events
from db.write import lenient, row_store
from db.write.row_store import RowStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.contract import test_cases as contract
from tests.helpers.accounts import dba
from tests.helpers.databases import mariadb_only, mysql_only
from tests.helpers.sink import NOW, chunk, constrain, event, record, stored_ids, write

COLUMNS = [flash_sale_events.c[name] for name in ROW_COLUMNS]


@pytest.fixture
def loads(proving):
    """A database that takes lines and can prove what became of them."""
    with proving.connect() as connection:
        if not lenient.can_load(write(connection)):
            pytest.skip("this server takes no lines")
    return proving


def stored(engine, found, *, loaded):
    """The rows a chunk becomes by one of the two ways; nothing stays."""
    with engine.connect() as connection:
        transaction = write(connection)
        connection.info[lenient.can_load] = loaded
        [refused] = RowStore().store(transaction, [found]).refused
        rows = connection.execute(select(*COLUMNS).order_by("id")).all()
        connection.rollback()
        connection.info[lenient.can_load] = True
    return refused, [tuple(row) for row in rows]


def test_events_of_the_contract_become_the_same_rows(loads, ways):
    values = [contract.value(case) for case in contract.load()]
    records = [record(n, value) for n, value in enumerate(values)]
    found = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    assert found.valid > 500
    by_values = stored(loads, found, loaded=False)
    assert "load" not in ways
    ways.clear()
    assert stored(loads, found, loaded=True) == by_values
    assert ways == ["load"], "nothing was left to another way"


ODD = st.text(max_size=20) | st.text("'\"\\],[{}NUL null\n\r\t\f\b\x00\x1a\x7f🔥é", max_size=20)
TEXTS = (
    st.none() | ODD | st.sampled_from(["null", "NULL", "\\N", "\\", '"', "", "a,null,b", "]\n["])
)
NUMBERS = st.floats(-1e38, 1e38, allow_nan=False) | st.sampled_from([0.0, -0.0, 1e-45, 1e-7, 1e22])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(ODD, TEXTS, TEXTS, NUMBERS), min_size=1, max_size=12))
@example([("\\u0041", "\f", "\x01", 1.5), ('"', None, "null", 2.5), ("x", None, None, 3.5)])
def test_any_text_and_number_is_stored_as_by_values(loads, rows):
    values = [
        json.dumps(
            {"event_id": one, "user_id": "u", "category": "c", "product_id": two, "price": price}
            | ({} if three is None else {"event_type": three})
        )
        for one, two, three, price in rows
    ]
    records = [record(n, value.encode()) for n, value in enumerate(values)]
    found = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    refused, loaded = stored(loads, found, loaded=True)
    assert not refused
    assert (refused, loaded) == stored(loads, found, loaded=False)


def test_a_write_of_several_statements_is_in_order(loads, monkeypatch, ways):
    monkeypatch.setattr(row_store, "LOAD_BYTES", 1_000)
    monkeypatch.setattr(row_store, "MOST_LOAD_BYTES", 2_000)
    Writer(loads, "g", FLASH_SALES, "w").write(
        1, NOW, [chunk(0, 50), chunk(50, 51), chunk(51, 400)]
    )
    assert stored_ids(loads) == [f"e{n}" for n in range(400)]
    assert set(ways) == {"load"}
    assert len(ways) > 5


def test_in_another_session_nothing_is_loaded(loads):
    with loads.connect() as connection:
        transaction = write(connection)
        transaction.session += 1
        connection.exec_driver_sql("SET autocommit = 1")
        with pytest.raises(MySQLError, match="1690"):
            lenient.load(transaction, chunk(0, 3).rows)
        connection.exec_driver_sql("SET autocommit = 0")
    assert stored_ids(loads) == []


@pytest.mark.parametrize(
    "change",
    [
        "category VARCHAR(3)",
        "price DECIMAL(30, 1)",
        "quantity TINYINT",
        "category VARCHAR(50) CHARACTER SET latin1",
    ],
)
def test_what_does_not_fit_is_not_changed_to_fit(loads, ways, change):
    with dba(loads).begin() as connection:
        connection.execute(text(f"ALTER TABLE flash_sale_events MODIFY {change}"))
    odd = event(1, category="four 漢", price=1.2345, quantity=1000)
    records = [record(0, event(0)), record(1, odd), record(2, event(2))]
    found = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 3, records)
    by_values = stored(loads, found, loaded=False)
    ways.clear()
    assert stored(loads, found, loaded=True) == by_values
    assert ways[:2] == ["load", "values"], "the server could not prove it"


def test_nothing_is_proven_where_a_trigger_ran(loads, ways):
    """It may have done anything with a row; a statement for it counts warnings of its own."""
    with dba(loads).begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER t BEFORE INSERT ON flash_sale_events FOR EACH ROW "
                "SET NEW.category = CONCAT(NEW.category, '!')"
            )
        )
    Writer(loads, "g", FLASH_SALES, "w").write(1, NOW, [chunk(0, 3)])
    assert ways == ["load", "values"]
    with loads.connect() as connection:
        assert set(connection.scalars(select(flash_sale_events.c.category))) == {"c!"}
    assert stored_ids(loads) == ["e0", "e1", "e2"]


@pytest.fixture
def constrained(loads):
    constrain(loads)
    return loads


def written(engine, events):
    """The batch of a write of these events, offsets from 0."""
    records = [record(number, value) for number, value in enumerate(events)]
    whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    return Writer(engine, "g", FLASH_SALES, "w").write(1, NOW, [whole])


REFUSED = {
    "bad": {"category": "bad"},
    "known": {"user_id": "first"},
    "unlisted": {"product_id": "q"},
}


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_constraints_reject_are_named(constrained, ways, monkeypatch, seed):
    """However the server counts the lines of each kind, one after the other and in between."""
    chance = Random(seed)
    monkeypatch.setattr(row_store, "LOAD_BYTES", chance.choice([2_000, 20_000, 1_000_000]))
    kinds = [chance.choice(["good", "good", *REFUSED]) for _ in range(300)]
    events = [event(0, user_id="first")]
    for number, kind in enumerate(kinds, 1):
        events.append(event(number, **{"user_id": f"u{number}", **REFUSED.get(kind, {})}))
    batch = written(constrained, events)
    wanted = [number for number, kind in enumerate(kinds, 1) if kind != "good"]
    assert [refused.offset for refused in batch.refused] == wanted
    assert stored_ids(constrained) == [
        f"e{number}" for number in range(len(events)) if number not in wanted
    ]
    said = {"bad": "none_bad", "known": "one_a_user", "unlisted": "listed"}
    for refused in batch.refused:
        # MySQL names a foreign key only to those who may see the other table.
        kind = kinds[refused.offset - 1]
        assert said[kind] in refused.detail or "foreign key" in refused.detail
    assert set(ways) == {"load"}


def test_a_rejected_row_with_a_stored_rows_key_proves_nothing(constrained, ways):
    """Which of the two is there, nobody could tell."""
    batch = written(constrained, [event(0, user_id="u"), event(0, user_id="u")])
    assert [refused.offset for refused in batch.refused] == [1]
    assert stored_ids(constrained) == ["e0"]
    assert ways[:2] == ["load", "values"]


@mysql_only  # its loads take ids while others do
def test_an_id_given_twice_rejects_no_row(loads, monkeypatch, ways):
    """Another program inserts between the packets, and every second row is refused."""
    with dba(loads).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events ADD UNIQUE one_a_user (user_id)"))
    events = [event(n, user_id=f"u{n}" if n % 2 == 0 else "u0") for n in range(200)]
    records = [record(number, value) for number, value in enumerate(events)]
    whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    monkeypatch.setattr(driver, "_PACKET", 1000)
    numbers = count()
    write_packet = Connection.write_packet
    with dba(loads).connect() as other, loads.connect() as connection:

        def between(self, payload):
            if self is ours:
                user = {"user": f"z{next(numbers)}"}
                other.execute(text("INSERT INTO flash_sale_events (user_id) VALUES (:user)"), user)
                other.commit()
            return write_packet(self, payload)

        transaction = write(connection)
        ours = transaction.cursor.connection
        monkeypatch.setattr(Connection, "write_packet", between)
        [refused] = RowStore().store(transaction, [whole]).refused
        connection.commit()
    assert sorted(refused) == list(range(1, 200, 2))
    assert [one for one in stored_ids(loads) if one] == [f"e{n}" for n in range(0, 200, 2)]
    assert ways[0] == "load"


@mariadb_only
def test_a_row_left_out_without_a_warning_is_counted(constrained, ways):
    """As a server does with this option of MariaDB, if a proxy forgets how the session was set."""
    events = [event(n, user_id="u" if n in (1, 3) else f"u{n}") for n in range(6)]
    with constrained.connect() as connection:
        transaction = write(connection)
        connection.exec_driver_sql("SET SESSION old_mode = 'NO_DUP_KEY_WARNINGS_WITH_IGNORE'")
        records = [record(number, value) for number, value in enumerate(events)]
        whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
        store = RowStore()
        [refused] = store.store(transaction, [whole]).refused
        rows = connection.execute(select(flash_sale_events.c.event_id).order_by("id")).all()
        connection.rollback()
    assert ways[:2] == ["load", "values"]
    assert sorted(refused) == [3]
    assert [name for (name,) in rows] == ["e0", "e1", "e2", "e4", "e5"]


def test_loading_is_attempted_again_after_some_writes(constrained, ways, monkeypatch):
    monkeypatch.setattr(lenient, "_MOST", 0)
    writer = Writer(constrained, "g", FLASH_SALES, "w")
    writer.write(1, NOW, [chunk(0, 1, category="bad")])
    assert ways[:2] == ["load", "values"]
    ways.clear()
    for number in range(1, 7):
        writer.write(1 + number, NOW, [chunk(number, number + 1, user_id=f"u{number}")])
    assert ways == 4 * ["values"] + 2 * ["load"]
    assert stored_ids(constrained) == [f"e{n}" for n in range(1, 7)]


def test_a_proxy_that_takes_no_lines_costs_little(loads, ways, monkeypatch):
    """As a proxy that was put in between."""
    no = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'not supported'"
    monkeypatch.setattr(lenient, "_LOAD", no)
    writer = Writer(loads, "g", FLASH_SALES, "w")
    for start in range(0, 40, 2):
        writer.write(1 + start, NOW, [chunk(start, start + 2)])
    assert stored_ids(loads) == [f"e{n}" for n in range(40)]
    assert ways.count("values") == 20
    assert ways.count("load") < 5


def test_a_server_gets_no_file(loads, tmp_path):
    """Whatever it asks for: this client has none to send."""
    secret = Path(tmp_path / "secret")
    secret.write_text("top secret\n")
    with loads.connect() as connection:
        cursor = connection.connection.cursor()
        with pytest.raises(MySQLError, match="asked for the file"):
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE flash_sale_events (category)"
            )
        connection.rollback()
        assert not connection.scalars(select(flash_sale_events.c.category)).all()
