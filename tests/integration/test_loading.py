"""Rows by LOAD DATA LOCAL: the same ones as by VALUES, and only what the server has proven."""

import json
from pathlib import Path
from random import Random

import pytest
from db.insertion import Insertion
from db.load import can_load, load
from db.refused_rows import RowInserter
from db.rows import STATEMENT_BYTES, statements
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymysql.err import MySQLError, OperationalError
from sqlalchemy import select, text

from agents.flash_sales import FLASH_SALES
from db import load as loading
from db import refused_rows
from db.sales_tables import ROW_COLUMNS, flash_sale_events
from db.writer import Writer
from pipeline.chunk import Chunk
from tests.contract import test_cases as contract
from tests.helpers.accounts import dba
from tests.helpers.databases import mysql_only
from tests.helpers.sink import NOW, chunk, constrain, event, record, stored_ids

COLUMNS = [flash_sale_events.c[name] for name in ROW_COLUMNS]


@pytest.fixture
def loads(begun):
    """A database that takes lines."""
    with begun.connect() as connection:
        if not can_load(connection):
            pytest.skip("this server takes no LOAD DATA LOCAL")
    return begun


@pytest.fixture
def statements_seen(monkeypatch):
    """The ways in which rows were sent to the server: ``load`` or ``attempt``."""
    seen: list[str] = []

    def note(name):
        method = getattr(Insertion, name)

        def noted(self, *args):
            seen.append(name)
            return method(self, *args)

        monkeypatch.setattr(Insertion, name, noted)

    note("load")
    note("attempt")
    return seen


def session(connection):
    return connection.scalar(text("SELECT CONNECTION_ID()"))


def stored(engine, found, *, loaded):
    """The rows a chunk becomes by one of the two ways; nothing stays."""
    inserter = RowInserter()
    with engine.connect() as connection:
        connection.info["can_load"] = loaded
        refused = inserter.insert(connection, [found], STATEMENT_BYTES, session(connection))
        rows = connection.execute(select(*COLUMNS).order_by("id")).all()
        connection.rollback()
        connection.info["can_load"] = True
    return refused, [tuple(row) for row in rows]


def test_events_of_the_contract_become_the_same_rows(loads, statements_seen):
    values = [contract.value(case) for case in contract.load()]
    records = [record(n, value) for n, value in enumerate(values)]
    found = Chunk.transform(FLASH_SALES, "t", 0, 0, len(records), records)
    assert found.valid > 500
    by_values = stored(loads, found, loaded=False)
    assert "load" not in statements_seen
    statements_seen.clear()
    assert stored(loads, found, loaded=True) == by_values
    assert statements_seen == ["load"], "nothing was left to another way"


ODD = st.text(max_size=20) | st.text("'\"\\],[{}NUL null\n\r\t\f\b\x00\x1a\x7f🔥é", max_size=20)
TEXTS = (
    st.none() | ODD | st.sampled_from(["null", "NULL", "\\N", "\\", '"', "", "a,null,b", "]\n["])
)
NUMBERS = st.floats(-1e38, 1e38, allow_nan=False) | st.sampled_from([0.0, -0.0, 1e-45, 1e-7, 1e22])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    found = Chunk.transform(FLASH_SALES, "t", 0, 0, len(records), records)
    refused, loaded = stored(loads, found, loaded=True)
    assert not any(refused)
    assert (refused, loaded) == stored(loads, found, loaded=False)


def test_a_write_of_several_statements_is_in_order(loads, monkeypatch, statements_seen):
    monkeypatch.setattr("db.refused_rows.LOAD_BYTES", 1_000)
    Writer(loads, "g", "w").write(1, NOW, [chunk(0, 50), chunk(50, 51), chunk(51, 400)])
    assert stored_ids(loads) == [f"e{n}" for n in range(400)]
    assert statements_seen == ["load"]


def test_statements_are_as_large_as_the_server_is_fast_and_rows_are_good(loads, monkeypatch):
    with dba(loads).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events ADD CHECK (category <> 'bad')"))
    writer = Writer(loads, "g", "w")
    sizes = []

    def noted(chunks, limit):
        sizes.append(limit)
        return statements(chunks, limit)

    monkeypatch.setattr(refused_rows, "statements", noted)

    def write(number, bad=()):
        records = [
            record(n, event(n, category="bad" if n in bad else "good"))
            for n in range(20_000 * number, 20_000 * (number + 1))
        ]
        first, after = records[0].offset, records[-1].offset + 1
        writer.write(number, NOW, [Chunk.transform(FLASH_SALES, "t", 0, first, after, records)])

    write(0)
    write(1, bad=range(20_000, 40_000, 100))
    write(2)
    size = sizes[1]
    assert sizes[0] < size <= 4_000_000
    # 200 refused rows in three statements or more.
    assert 250_000 <= sizes[2] < size / 2
    monkeypatch.setattr(refused_rows, "LOAD_SECONDS", 1e-6)
    write(3)
    write(4)
    assert sizes[4] == 250_000


def test_in_another_session_nothing_is_stored(loads):
    pieces = statements([chunk(0, 3)], STATEMENT_BYTES)
    with loads.connect() as connection:
        connection.exec_driver_sql("SET autocommit = 1")
        cursor = connection.connection.cursor()
        with pytest.raises(OperationalError, match="1242"):
            load(connection, cursor, FLASH_SALES, pieces, 0, lambda: None)
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
def test_what_does_not_fit_is_not_changed_to_fit(loads, statements_seen, change):
    with dba(loads).begin() as connection:
        connection.execute(text(f"ALTER TABLE flash_sale_events MODIFY {change}"))
    odd = event(1, category="four 漢", price=1.2345, quantity=1000)
    records = [record(0, event(0)), record(1, odd), record(2, event(2))]
    found = Chunk.transform(FLASH_SALES, "t", 0, 0, 3, records)
    by_values = stored(loads, found, loaded=False)
    statements_seen.clear()
    assert stored(loads, found, loaded=True) == by_values
    assert statements_seen[0] == "load"
    assert "attempt" in statements_seen, "the server could not prove it"


def test_nothing_is_proven_where_a_trigger_ran(loads, statements_seen):
    """It may have done anything with a row; a statement for it counts warnings of its own."""
    with dba(loads).begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER t BEFORE INSERT ON flash_sale_events FOR EACH ROW "
                "SET NEW.category = CONCAT(NEW.category, '!')"
            )
        )
    Writer(loads, "g", "w").write(1, NOW, [chunk(0, 3)])
    assert statements_seen == ["load", "attempt"]
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
    whole = Chunk.transform(FLASH_SALES, "t", 0, 0, len(records), records)
    return Writer(engine, "g", "w").write(1, NOW, [whole])


REFUSED = {
    "bad": {"category": "bad"},
    "known": {"user_id": "first"},
    "unlisted": {"product_id": "q"},
}


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_constraints_refuse_are_named(constrained, statements_seen, monkeypatch, seed):
    """However the server counts the lines of each kind, one after the other and in between."""
    chance = Random(seed)
    monkeypatch.setattr("db.refused_rows.LOAD_BYTES", chance.choice([2_000, 20_000, 1_000_000]))
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
        assert said[kinds[refused.offset - 1]] in refused.detail
    assert statements_seen == ["load"]


def test_a_refused_row_with_the_key_of_a_stored_one_proves_nothing(constrained, statements_seen):
    """Which of the two is there, nobody could tell."""
    batch = written(constrained, [event(0, user_id="u"), event(0, user_id="u")])
    assert [refused.offset for refused in batch.refused] == [1]
    assert stored_ids(constrained) == ["e0"]
    assert statements_seen[:2] == ["load", "attempt"]


def test_a_server_that_counts_otherwise_is_not_believed(constrained, statements_seen, monkeypatch):
    """As if it counted rows that break a CHECK: it would be taken to mean the row behind."""
    monkeypatch.setattr(loading, "_CHECK", 0)
    events = [event(n, user_id=f"u{n}", category="bad" if n in (1, 3) else "c") for n in range(6)]
    batch = written(constrained, events)
    assert [refused.offset for refused in batch.refused] == [1, 3]
    assert stored_ids(constrained) == ["e0", "e2", "e4", "e5"]
    assert statements_seen[:2] == ["load", "attempt"]


def test_loading_is_tried_again_after_some_writes(constrained, statements_seen, monkeypatch):
    monkeypatch.setattr(loading, "NAMED", 0)
    writer = Writer(constrained, "g", "w")
    writer.write(1, NOW, [chunk(0, 1, category="bad")])
    assert statements_seen[:2] == ["load", "attempt"]
    statements_seen.clear()
    for number in range(1, 7):
        writer.write(1 + number, NOW, [chunk(number, number + 1, user_id=f"u{number}")])
    assert statements_seen == 4 * ["attempt"] + 2 * ["load"]
    assert stored_ids(constrained) == [f"e{n}" for n in range(1, 7)]


def test_a_server_that_takes_no_lines_any_more_is_not_asked_again(
    loads, statements_seen, monkeypatch
):
    """As a proxy that was put in between."""
    no = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'not supported'"
    monkeypatch.setattr(loading, "_STATEMENT", no)
    writer = Writer(loads, "g", "w")
    for start in range(0, 40, 2):
        writer.write(1 + start, NOW, [chunk(start, start + 2)])
    assert stored_ids(loads) == [f"e{n}" for n in range(40)]
    assert statements_seen == ["load"] + 20 * ["attempt"]


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


@mysql_only
def test_mysql_which_does_not_tell_of_triggers_gets_no_lines(begun, statements_seen):
    with begun.connect() as connection:
        assert not can_load(connection)
    Writer(begun, "g", "w").write(1, NOW, [chunk(0, 3)])
    assert statements_seen == ["attempt"]
