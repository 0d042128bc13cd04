"""The statements that insert rows, read by another database: what comes out is what went in."""

import json
import sqlite3
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from db.write.insert_values import insert_statement
from db.write.row_store import pieces
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from pipeline.stream import Stream

TOY = Stream(
    table="toys",
    columns=("name", "note", "price"),
    transform=lambda value: (json.loads(value or b""), 0),
    restore=lambda row: json.dumps(row).encode(),
    tally=lambda _: ({}, {}),
    trial=str.encode,
    fields=(),
)
SESSION = 7

TEXTS = st.text() | st.text("\n\\\"'],[é🔥a%:", max_size=6)
#: Quarters, because SQLite reads some longer fractions as their neighbour.
PRICES = st.integers(-(2**31), 2**31 - 1) | st.integers(-999, 999).map(lambda n: n / 4)
ROWS = st.tuples(TEXTS, st.none() | TEXTS, PRICES)
CHUNKS = st.lists(st.lists(ROWS, max_size=5), max_size=5)


def chunk(rows):
    records = [PlainRecord(n, json.dumps(row).encode()) for n, row in enumerate(rows)]
    return Chunk.transform(TOY, Partition("t", 0), 0, len(rows), records)


def inserted(rows, session=SESSION):
    """What SQLite has after the statement, in a session of this number."""

    def only_if(condition, value, _):
        if not condition:
            raise ValueError("another session")
        return value

    with sqlite3.connect(":memory:") as database:
        database.create_function("CONNECTION_ID", 0, lambda: session)
        database.create_function("IF", 3, only_if)
        database.execute("CREATE TABLE toys (name, note, price)")
        statement = insert_statement(TOY, rows, SESSION).decode()
        # MySQL's spelling of a text by its bytes; SQLite wants a cast.
        database.execute(statement.replace("_utf8mb4 X'", "'' || X'"))
        return database.execute("SELECT name, note, price FROM toys ORDER BY rowid").fetchall()


@given(CHUNKS, st.integers(1, 200))
@example([[("a'b", None, 1.5), ('"', "\\", -2)]], 200)
def test_every_row_is_inserted_once_in_order_and_unchanged(chunks, limit):
    sent = pieces([chunk(rows).rows for rows in chunks], lambda: limit)
    found = [row for rows in sent for row in inserted(rows)]
    assert found == [row for rows in chunks for row in rows]


@given(CHUNKS, st.integers(1, 200))
def test_a_statement_keeps_its_limit_unless_one_row_is_longer(chunks, limit):
    sent = list(pieces([chunk(rows).rows for rows in chunks], lambda: limit))
    for rows in sent:
        assert len(rows.replace(b"\n", b"")) <= limit or b"\n" not in rows
    for one, following in pairwise(sent):
        first = following.partition(b"\n")[0]
        assert len(one) + 1 + len(first) > limit, "the next row would have gone with them"


@given(ROWS, st.lists(ROWS, max_size=2))
def test_in_another_session_nothing_is_inserted(row, more):
    with pytest.raises(sqlite3.OperationalError):
        inserted(chunk([row, *more]).rows, session=SESSION + 1)
