"""Rows a server leaves out of a statement: only where it proves which ones, and never changed."""

from random import Random

import pytest
from pymysql.err import OperationalError
from sqlalchemy import text

from agents.flash_sales import FLASH_SALES
from db.write import lenient
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.accounts import dba
from tests.helpers.databases import mariadb_only
from tests.helpers.sink import (
    NOW,
    chunk,
    constrain,
    dead_letter_rows,
    event,
    record,
    stored_ids,
    stored_offsets,
    write,
)


@pytest.fixture
def constrained(proving, inserts_only):
    constrain(proving)
    return proving


def mixed(chance, count, kinds):
    """Events some of which are refused, and which of them are not."""
    users: set[str] = set()
    records, good = [], []
    for number in range(count):
        kind = chance.choice(kinds)
        user = f"u{number}"
        if kind == "known user" and users:
            user = chance.choice(sorted(users))
        fields = {
            "bad": {"category": "bad"},
            "unlisted": {"product_id": "'\\😀"},
            "long": {"category": "toolong"},
        }.get(kind, {})
        records.append(record(number, event(number, user_id=user, **fields)))
        if not fields and user not in users:
            users.add(user)
            good.append(number)
    return records, good


def store(engine, records):
    whole = Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)
    return Writer(engine, "g", FLASH_SALES, "w").write(1, NOW, [whole])


def assert_stored(engine, records, good):
    assert stored_ids(engine) == [f"e{n}" for n in good]
    refused = sorted({record.offset for record in records} - set(good))
    assert [row.kafka_offset for row in dead_letter_rows(engine)] == refused
    assert stored_offsets(engine)[0] == len(records)


@pytest.mark.parametrize("seed", range(6))
def test_one_statement_skips_what_constraints_reject(constrained, ways, seed):
    chance = Random(seed)
    kinds = ["good"] * chance.choice([1, 9, 99]) + ["bad", "known user", "unlisted"]
    records, good = mixed(chance, 600, kinds)
    store(constrained, records)
    assert_stored(constrained, records, good)
    assert ways == ["values", "ignore"], "the first showed that there are such rows"


def test_what_the_database_says_of_a_row_is_said_of_that_row(constrained):
    records = [
        record(0, event(0, user_id="ü")),
        record(1, event(1, category="bad")),
        record(2, event(2, user_id="ü")),
    ]
    store(constrained, records)
    first, second = dead_letter_rows(constrained)
    assert "none_bad" in first.detail
    assert "Duplicate entry 'ü' for key" in second.detail


@pytest.mark.parametrize("seed", range(3))
def test_no_value_is_cut_to_fit(constrained, seed):
    """Leaving rows out, a server would also store what it had to change."""
    with dba(constrained).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(4)"))
    records, good = mixed(Random(seed), 300, ["good"] * 20 + ["bad", "known user", "long"])
    store(constrained, records)
    assert_stored(constrained, records, good)


def test_a_trigger_did_nothing_for_a_row_that_is_not_stored(constrained):
    with dba(constrained).begin() as connection:
        connection.execute(text("CREATE TABLE seen (event_id VARCHAR(50))"))
        connection.execute(
            text(
                "CREATE TRIGGER note BEFORE INSERT ON flash_sale_events FOR EACH ROW "
                "INSERT INTO seen VALUES (NEW.event_id)"
            )
        )
    records, good = mixed(Random(1), 300, ["good"] * 20 + ["bad", "known user"])
    store(constrained, records)
    assert_stored(constrained, records, good)
    with dba(constrained).connect() as connection:
        seen = list(connection.scalars(text("SELECT event_id FROM seen ORDER BY 1")))
    assert seen == sorted(f"e{n}" for n in good)


@mariadb_only  # MySQL lets an ordinary account not set it
def test_more_rejected_rows_than_the_server_has_warnings_for(constrained):
    """As behind a proxy that forgets what a session was told."""
    with constrained.begin() as connection:
        connection.execute(text("SET SESSION max_error_count = 3"))
    records, good = mixed(Random(1), 300, ["good"] * 5 + ["bad", "known user"])
    store(constrained, records)
    assert_stored(constrained, records, good)
    with constrained.connect() as connection:
        assert connection.scalar(text("SELECT @@max_error_count")) == 3, "the same session"


def test_nothing_is_inserted_in_another_session(constrained):
    with constrained.connect() as connection:
        transaction = write(connection)
        transaction.session += 1
        connection.exec_driver_sql("SET autocommit = 1")
        with pytest.raises(OperationalError, match="1690"):
            lenient.ignore(transaction, chunk(0, 3).rows)
        connection.exec_driver_sql("SET autocommit = 0")
    assert stored_ids(constrained) == []


def test_a_way_that_proves_nothing_is_taken_ever_less(constrained, ways):
    with dba(constrained).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(4)"))
    writer = Writer(constrained, "g", FLASH_SALES, "w")
    for number in range(40):
        records = [
            record(n, event(n, user_id=f"u{n}", category="toolong" if n % 2 else "c"))
            for n in range(10 * number, 10 * number + 10)
        ]
        first = records[0].offset
        writer.write(
            number,
            NOW,
            [Chunk.transform(FLASH_SALES, Partition("t", 0), first, first + 10, records)],
        )
    assert stored_ids(constrained) == [f"e{n}" for n in range(0, 400, 2)]
    assert 1 < ways.count("ignore") < 6
