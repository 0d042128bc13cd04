"""Rows the database refuses: found inside the write's one transaction, each costing only itself."""

import json
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from sqlalchemy import func, select, text

from agents.flash_sales import FLASH_SALES
from db.connection.error_codes import ROW
from db.schema.tables import batches
from db.write import insert_values
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, TransientError
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.accounts import dba
from tests.helpers.sink import (
    NOW,
    chunk,
    dead_letter_rows,
    event,
    record,
    stored_ids,
    stored_offsets,
)


@pytest.fixture
def refusing(begun):
    """No two rows may have the same user, and a trigger refuses the category ``bad``."""
    OffsetStore(begun, "g").begin({Partition("t", 2): 0})
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events ADD UNIQUE one_a_user (user_id)"))
        refuse(connection, 1644)
    return begun


def refuse(connection, code, extra=""):
    """Have a trigger refuse rows of the category ``bad`` with an error code."""
    connection.execute(text("DROP TRIGGER IF EXISTS refuse"))
    connection.execute(
        text(
            "CREATE TRIGGER refuse BEFORE INSERT ON flash_sale_events FOR EACH ROW "
            f"BEGIN IF NEW.category = 'bad' THEN {extra} SIGNAL SQLSTATE '45000' "
            f"SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'not this one'; END IF; END"
        )
    )


def sent(chunks: Sequence[Chunk], values: dict[tuple[int, int], PlainRecord]):
    """Fetches what was sent, and notes what it was asked."""
    asked: list[tuple[int, list[int]]] = []

    def refetch(partition: Partition, offsets: Sequence[int]) -> Iterator[object]:
        asked.append((partition.number, list(offsets)))
        return ((offset, values[partition.number, offset]) for offset in offsets)

    return refetch, asked


def commits(engine):
    with engine.connect() as connection:
        return int(connection.execute(text("SHOW GLOBAL STATUS LIKE 'Com_commit'")).one()[1])


@pytest.mark.parametrize("seed", range(8))
def test_only_rows_rejected_alone_become_dead_letters(refusing, monkeypatch, seed):
    """Against the plainest reference: row by row, in order, what the table can hold."""
    chance = Random(seed)
    monkeypatch.setattr("db.write.row_store.INSERT_BYTES", chance.choice([600, 5_000, 250_000]))
    writer = Writer(refusing, "g", FLASH_SALES, "w")
    users: set[str] = set()
    wanted_rows: list[str] = []
    wanted_letters: dict[tuple[int, int], bytes] = {}
    next_offset = dict.fromkeys(range(3), 0)
    number = 0
    revenue = 0.0
    for write in range(1, 4):
        share = chance.choice([0, 0.01, 0.1, 0.5, 0.97, 1])
        chunks, values = [], {}
        for _ in range(chance.randrange(1, 6)):
            partition = chance.randrange(3)
            start = next_offset[partition]
            end = start + chance.randrange(1, 120)
            records = []
            for offset in range(start, end):
                number += 1
                user = f"u{number if chance.random() > share / 2 else chance.randrange(3)}"
                bad = chance.random() < share / 2 or (share and offset in (start, end - 1))
                value = event(
                    number,
                    user_id=user,
                    category="bad" if bad else "o'k\\",
                    price=chance.randrange(9),
                )
                if chance.random() < 0.02:
                    value = b"no json %d" % number
                    wanted_letters[partition, offset] = value
                elif bad or user in users:
                    wanted_letters[partition, offset] = value
                else:
                    users.add(user)
                    wanted_rows.append(f"e{number}")
                    revenue += json.loads(value)["price"]
                records.append(record(offset, value))
                values[partition, offset] = records[-1]
            chunks.append(
                Chunk.transform(FLASH_SALES, Partition("t", partition), start, end, records)
            )
            next_offset[partition] = end
        refetch, asked = sent(chunks, values)
        batch = writer.write(write, NOW, chunks, refetch)
        assert batch is not None
        assert len(asked) == len({partition for partition, _ in asked}), "one pass a partition"
        told = {(one.partition.number, one.offset) for one in batch.refused}
        assert told == {key for key in wanted_letters if key in values} - {
            (piece.partition.number, letter.offset) for piece in chunks for letter in piece.dead
        }
        assert batch.events == sum(piece.events for piece in chunks)
        assert batch.valid == sum(batch.rows.values())
        assert batch.valid + batch.total_dropped == batch.events
    assert stored_ids(refusing) == wanted_rows
    found = dead_letter_rows(refusing)
    assert {(row.kafka_partition, row.kafka_offset): row.value for row in found} == wanted_letters
    assert len(found) == len(wanted_letters)
    assert {row.kafka_key for row in found} <= {b"\x00key"}
    assert stored_offsets(refusing) == next_offset
    with refusing.connect() as connection:
        sums = connection.execute(
            select(*(func.sum(batches.c[name]) for name in ("events", "valid", "revenue")))
        ).one()
    assert sums == (number, len(wanted_rows), revenue)


@pytest.mark.parametrize("bad", [[0], [7], [19], [0, 1, 2, 18, 19], list(range(20)), [3, 4, 11]])
def test_a_write_with_rejected_rows_is_one_transaction(refusing, bad):
    records = [
        record(n, event(n, user_id=f"u{n}", category="bad" if n in bad else "c")) for n in range(20)
    ]
    pieces = [
        Chunk.transform(
            FLASH_SALES, Partition("t", 0), start, start + 5, records[start : start + 5]
        )
        for start in range(0, 20, 5)
    ]
    refetch, _ = sent(pieces, {(0, n): record for n, record in enumerate(records)})
    before = commits(refusing)
    batch = Writer(refusing, "g", FLASH_SALES, "w").write(1, NOW, pieces, refetch)
    assert commits(refusing) - before == 1
    assert batch is not None
    assert [one.offset for one in batch.refused] == bad
    assert batch.rows == {("t", 0): 20 - len(bad)}
    assert batch.dropped["unstorable"] == len(bad)
    assert stored_ids(refusing) == [f"e{n}" for n in range(20) if n not in bad]
    found = dead_letter_rows(refusing)
    assert [row.value for row in found] == [records[n].value for n in bad]
    assert {row.detail for row in found} == {"the database says: not this one"}
    assert {row.reason for row in found} == {"unstorable"}


def test_of_two_rows_that_exclude_each_other_the_first_stays(refusing):
    users = ["a", "b", "a", "c", "b", "a"]
    records = [record(n, event(n, user_id=user)) for n, user in enumerate(users)]
    pieces = [
        Chunk.transform(FLASH_SALES, Partition("t", 0), n, n + 1, [record])
        for n, record in enumerate(records)
    ]
    batch = Writer(refusing, "g", FLASH_SALES, "w").write(1, NOW, pieces)
    assert stored_ids(refusing) == ["e0", "e1", "e3"]
    assert batch is not None
    assert [one.offset for one in batch.refused] == [2, 4, 5]


def test_a_row_named_within_a_trigger_is_not_taken_for_ours(begun):
    with dba(begun).begin() as connection:
        connection.execute(text("CREATE TABLE seen (k INT UNIQUE)"))
        connection.execute(
            text(
                "CREATE TRIGGER note BEFORE INSERT ON flash_sale_events FOR EACH ROW BEGIN "
                "IF NEW.category = 'bad' THEN INSERT INTO seen VALUES (1), (2), (1); END IF; END"
            )
        )
    batch = Writer(begun, "g", FLASH_SALES, "w").write(
        1, NOW, [chunk(0, 9), chunk(9, 10, category="bad"), chunk(10, 12)]
    )
    assert batch is not None
    assert [one.offset for one in batch.refused] == [9]
    assert stored_ids(begun) == [f"e{n}" for n in range(12) if n != 9]


@pytest.mark.parametrize("code", sorted(ROW))
def test_an_error_of_a_row_leaves_the_transaction_as_it_was(begun, code):
    with dba(begun).begin() as connection:
        refuse(connection, code)
    pieces = [chunk(0, 9), chunk(9, 10, category="bad"), chunk(10, 12)]
    assert Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, pieces) is not None
    assert stored_ids(begun) == [f"e{n}" for n in range(12) if n != 9]
    assert [row.kafka_offset for row in dead_letter_rows(begun)] == [9]


def test_a_rejection_that_ends_the_transaction_loses_nothing(begun, monkeypatch):
    with dba(begun).begin() as connection:
        refuse(connection, 1644)

    attempt = insert_values.attempt

    def ending(transaction, rows):
        error = attempt(transaction, rows)
        if error:
            transaction.connection.connection.rollback()
        return error

    monkeypatch.setattr(insert_values, "attempt", ending)
    pieces = [chunk(0, 9), chunk(9, 10, category="bad"), chunk(10, 12)]
    with pytest.raises(TransientError, match="ended a transaction"):
        Writer(begun, "g", FLASH_SALES, "w").write(1, NOW, pieces)
    assert (stored_ids(begun), dead_letter_rows(begun), stored_offsets(begun)[0]) == ([], [], 0)


def test_a_connection_killed_while_splitting_loses_nothing(begun, server):
    with dba(begun).begin() as connection:
        refuse(connection, 1644)
    pieces = [chunk(0, 9), chunk(9, 10, category="bad"), chunk(10, 12)]
    writer = Writer(begun, "g", FLASH_SALES, "w")

    def refetch(partition, offsets):
        for (number,) in server.execute(
            "SELECT id FROM information_schema.processlist WHERE db LIKE 'test\\_%'"
        ):
            server.execute(f"KILL {number}")
        return ((offset, None) for offset in offsets)

    with pytest.raises(TransientError):
        writer.write(1, NOW, pieces, refetch)
    assert (stored_ids(begun), dead_letter_rows(begun), stored_offsets(begun)[0]) == ([], [], 0)
    batch = writer.write(1, NOW, pieces)
    assert batch is not None
    assert len(batch.refused) == 1
    assert len(stored_ids(begun)) == 11


def test_a_repeated_write_says_which_rows_were_rejected(refusing):
    """The answer to COMMIT was lost, and the breaker must be told nonetheless."""
    pieces = [chunk(0, 3, category="bad"), chunk(3, 4, user_id="other")]
    writer = Writer(refusing, "g", FLASH_SALES, "w")
    first = writer.write(1, NOW, pieces)
    again = writer.write(1, NOW, pieces)
    assert again == first
    assert first is not None
    assert len(first.refused) == 3
    for another, number in ((writer, 2), (Writer(refusing, "g", FLASH_SALES, "other"), 1)):
        nothing = another.write(number, NOW, pieces)
        assert nothing is not None
        assert (nothing.events, nothing.refused) == (0, ()), "another write has nothing to say"


def test_a_value_kafka_no_longer_has_is_made_from_its_row(refusing):
    Writer(refusing, "g", FLASH_SALES, "w").write(1, NOW, [chunk(0, 2, category="bad", price=3)])
    first, second = dead_letter_rows(refusing)
    assert "made from its row" in first.detail
    assert json.loads(second.value)["event_id"] == "e1"


def test_a_rejected_dead_letter_ends_the_worker(begun):
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE dead_letters ADD UNIQUE no_two_alike (reason(3))"))
        connection.execute(
            text(
                "CREATE TRIGGER no_letters BEFORE INSERT ON dead_letters FOR EACH ROW "
                "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'full'"
            )
        )
    records = [record(0, event(0)), record(1, b"no json")]
    with pytest.raises(FatalError, match="rejects a dead letter or a ledger line: full"):
        Writer(begun, "g", FLASH_SALES, "w").write(
            1, NOW, [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 2, records)]
        )
    assert stored_ids(begun) == []


def test_statements_grow_again_when_no_row_is_rejected(refusing, monkeypatch):
    seen: list[bytes] = []
    attempt = insert_values.attempt

    def counted(transaction, rows):
        seen.append(rows)
        return attempt(transaction, rows)

    monkeypatch.setattr(insert_values, "attempt", counted)

    def inserts(number, start, **fields):
        records = [
            record(n, event(n, **{"user_id": f"u{n}", **fields})) for n in range(start, start + 64)
        ]
        seen.clear()
        writer.write(
            number,
            NOW,
            [Chunk.transform(FLASH_SALES, Partition("t", 0), start, start + 64, records)],
        )
        return len(seen)

    writer = Writer(refusing, "g", FLASH_SALES, "w")
    assert inserts(1, 0) == 1
    assert inserts(2, 64, category="bad") <= 2 * 64, "as halving needs at most"
    assert inserts(3, 128, category="bad") == 64, "and one when that is known"
    assert inserts(4, 192) < 10
    assert inserts(5, 256) == 1
