"""The unique index that DEDUPLICATE needs: created by `migrate`, or refused with the reason."""

import re
import threading
from itertools import count

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import IntegrityError

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.schema import event_index
from db.schema.upgrade import make_index
from db.write.deduplicate import is_duplicate, stored_ids
from dev import ROOT
from pipeline.errors import FatalError
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server, each_server_slow

#: Alike to the collations of the servers, byte by byte all different.
ALIKE = ["e1", "E1", "e1 ", "e1\x00", "é1", "e\u03011", "🔥", "🔥 ", "e01", " e1"]


class Killed(BaseException):
    """In place of SIGKILL: nothing that runs catches it."""


@pytest.fixture
def patient(migrated_url, database_url):
    """The app's schema, for the account that migrates."""
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    yield engine
    engine.dispose()


def insert(engine, *ids):
    with engine.begin() as connection:
        for one in ids:
            connection.execute(
                text("INSERT INTO flash_sale_events (event_id) VALUES (:i)"), {"i": one}
            )


def described(engine):
    with engine.connect() as connection:
        return connection.execute(text("SHOW CREATE TABLE flash_sale_events")).one()[1]


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_ids_that_a_collation_takes_for_equal_are_different(patient, charset):
    with patient.begin() as connection:
        connection.execute(
            text(
                f"ALTER TABLE flash_sale_events MODIFY event_id VARCHAR(50) CHARACTER SET {charset}"
            )
        )
    ids = [
        one
        for one in ALIKE
        if charset == "utf8mb4" or one.encode("latin1", "ignore").decode("latin1") == one
    ]
    insert(patient, *ids, None, None)
    assert make_index(patient)
    assert not make_index(patient), "it is there"
    with patient.connect() as connection:
        every = [one.encode() for one in [*ids, "new", "E1 ", ""]]
        assert stored_ids(connection, FLASH_SALES, every) == {one.encode() for one in ids}
        assert stored_ids(connection, FLASH_SALES, []) == set()
    for one in ids:
        with pytest.raises(IntegrityError) as refusal:
            insert(patient, one)
        assert "uq_event_id" in str(refusal.value.orig), one


def test_index_name_is_parsed_from_the_servers_message():
    for entry, key, ours in (
        ("e1", "uq_event_id", True),
        ("e1", "flash_sale_events.uq_event_id", True),
        ("for key 'uq_event_id'", "other", False),
        ("e1", "my_uq_event_id", False),
    ):
        assert is_duplicate(f"Duplicate entry '{entry}' for key '{key}'") is ours


def test_known_ids_are_looked_up_in_the_index(patient):
    make_index(patient)
    asked = []
    event.listen(patient, "before_cursor_execute", lambda *found: asked.append(found[2]))
    with patient.connect() as connection:
        stored_ids(connection, FLASH_SALES, [b"%d" % n for n in range(2000)])
        plan = connection.execute(text(f"EXPLAIN FORMAT=TRADITIONAL {asked[-1]}")).mappings().all()
    assert "uq_event_id" in [line["key"] for line in plan]


@pytest.mark.slow
@each_server_slow
def test_ids_that_stand_twice_are_named_and_nothing_is_changed(faust, migrated_engine):
    ids = ["b", "a", "b", "A", "a ", "b", "once"] + ["many"] * 7 + [f"x{n}" for n in range(9)] * 2
    insert(migrated_engine, *ids, None, None)
    before = described(migrated_engine)
    said = faust("migrate", status=1, DEDUPLICATE="true")
    assert "11 event ids in flash_sale_events are not unique, with 17 surplus rows" in said
    assert "'many': 7 rows, id 8, 9, 10, 11, 12, …\n" in said
    assert "'b': 3 rows, id 1, 3, 6\n" in said
    assert said.count(" rows, id ") == 5
    assert described(migrated_engine) == before
    # What to do is in the documentation.
    page = (ROOT / "docs" / "database.md").read_text()
    [statement] = re.findall(
        r"^(DELETE FROM flash_sale_events.*?);$", page, re.MULTILINE | re.DOTALL
    )
    with dba(migrated_engine).begin() as connection:
        connection.execute(text(statement))
        left = connection.execute(text("SELECT id, event_id FROM flash_sale_events ORDER BY id"))
        assert [tuple(row) for row in left][:6] == [
            (1, "b"),
            (2, "a"),
            (4, "A"),
            (5, "a "),
            (7, "once"),
            (8, "many"),
        ]
    assert "The index was created" in faust("migrate", DEDUPLICATE="true")
    assert "The index already exists" in faust("migrate", DEDUPLICATE="true")


def test_creating_the_index_survives_a_kill_after_any_statement(patient):
    insert(patient, "a", "A")
    for number in count(1):
        seen = count(1)

        def kill(_connection, _cursor, statement, *_):
            if statement.startswith("ALTER") and next(seen) == number:  # noqa: B023
                raise Killed

        event.listen(patient, "after_cursor_execute", kill)
        try:
            make_index(patient)
            break
        except Killed:
            patient.dispose()
        finally:
            event.remove(patient, "after_cursor_execute", kill)
        make_index(patient)
        assert event_index.check(patient, True) is None
        with patient.begin() as connection:
            connection.execute(text(event_index.DROP))
    assert number > 1


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("MODIFY event_id CHAR(50)", r"char\(50\).* MODIFY event_id VARCHAR\(50\)"),
        ("ADD UNIQUE INDEX uq_event_id (user_id)", "another index has the name"),
        (
            "DROP PRIMARY KEY, ADD PRIMARY KEY (id, quantity) PARTITION BY HASH (quantity)",
            "partitioned",
        ),
        # MySQL has no such wide expressions in any format.
        (
            "MODIFY event_id VARCHAR(700), ROW_FORMAT=COMPACT",
            r"ROW_FORMAT=DYNAMIC|varchar\(700\).* MODIFY event_id VARCHAR\(50\)",
        ),
    ],
)
def test_table_that_cannot_be_indexed_is_rejected_with_a_fix(patient, change, hint):
    with patient.begin() as connection:
        connection.execute(text(f"ALTER TABLE flash_sale_events {change}"))
    before = described(patient)
    with pytest.raises(FatalError, match=hint):
        make_index(patient)
    assert described(patient) == before


def test_index_has_rows_written_while_it_is_created(patient):
    """Nothing written meanwhile is missing in the index."""
    insert(patient, *(f"old {n}" for n in range(500)))
    done = threading.Event()
    numbers = count()

    def write():
        while not done.is_set():
            insert(patient, *(f"new {next(numbers)}" for _ in range(50)))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for one in writers:
        one.start()
    make_index(patient)
    done.set()
    for one in writers:
        one.join()
    with patient.connect() as connection:
        every = connection.scalars(text("SELECT event_id FROM flash_sale_events")).all()
        assert stored_ids(connection, FLASH_SALES, [one.encode() for one in every]) == {
            one.encode() for one in every
        }


@each_server
def test_a_worker_without_the_index_says_what_to_run(faust, worker, migrated_engine):
    running = worker(DEDUPLICATE="true")
    assert running.wait(40) == 1
    sentence = "DEDUPLICATE is true, but flash_sale_events has no unique index uq_event_id"
    assert f"{sentence}: run `faust -A app migrate` with DEDUPLICATE=true" in running.log_text()
    assert "Traceback" not in running.log_text()
    said = faust("check", status=1, DEDUPLICATE="true")
    assert re.search(
        f"^fail  Duplicates +{sentence}\n +→ run `faust -A app migrate`", said, re.MULTILINE
    )
    assert re.search("^ok    Duplicates +stored again", faust("check"), re.MULTILINE)


@pytest.mark.slow
@each_server_slow
def test_an_index_that_is_not_wanted_is_said(faust, worker, produce, migrated_engine):
    faust("migrate", DEDUPLICATE="true")
    insert(migrated_engine, "check")
    produce([b'{"event_id": "%s", "user_id": "u", "category": "c"}' % i for i in (b"check", b"a")])
    for setting, sentence in (("true", "skipped  1, stored already"), ("false", "dropped  1\n")):
        assert f"would be {sentence}" in faust("check", "--sample", 10, DEDUPLICATE=setting)
    assert re.search("^ok    Duplicates +skipped", faust("check", DEDUPLICATE=1), re.MULTILINE)
    sentence = "event_id is already stored becomes a dead letter"
    said = faust("check")
    assert re.search(
        f"^warn  Duplicates .*{sentence}\n +→ set DEDUPLICATE=true", said, re.MULTILINE
    )
    running = worker(STARTING_OFFSETS="latest").wait_ready()
    assert sentence in running.log_text()
    [drop] = re.findall("run `(ALTER TABLE .*)`", running.log_text())
    with dba(migrated_engine).begin() as connection:
        connection.execute(text(drop))
    assert event_index.check(migrated_engine, False) is None
    assert "The index was created" in faust("migrate", DEDUPLICATE="true"), "once more"
