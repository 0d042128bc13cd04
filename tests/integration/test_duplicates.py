"""Each event id once, however often it is sent; duplicates are counted, and no dead letters."""

import threading
from collections import Counter
from random import Random

import pytest
from sqlalchemy import event, select, text

from agents.flash_sales import FLASH_SALES
from db.dead_letters.query import Filter
from db.dead_letters.replay import Replayer
from db.rollup.watermark import join
from db.schema.tables import batches, dead_letters
from db.schema.upgrade import make_index
from db.write import deduplicate
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.errors import TransientError
from tests.helpers.accounts import dba, owner
from tests.helpers.duplicates import ALIKE, PARTITIONS, chunk, chunk_of, value
from tests.helpers.partitions import of_topic
from tests.helpers.sink import NOW, statements, stored_ids, stored_offsets
from tests.helpers.worker import wait_until


@pytest.fixture
def indexed(migrated_engine):
    make_index(owner(migrated_engine))
    OffsetStore(migrated_engine, "g").begin(of_topic("t", dict.fromkeys(PARTITIONS, 0)))
    return migrated_engine


def writer(indexed, name="w"):
    return Writer(indexed, "g", FLASH_SALES, name, deduplicate=True)


def lookups(indexed):
    """The look-ups of ids from now on."""
    return statements(indexed, "FORCE INDEX")


class Traffic:
    """Writes made up by a seed, and what a set of ids says must become of them."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.ends = dict.fromkeys(PARTITIONS, 0)
        self.known: set[bytes] = set()
        self.rows: list[str] = []
        self.counts: Counter[str] = Counter()

    def write(self):
        """Some partitions' next chunks, several of the same one perhaps."""
        chunks = []
        for partition in sorted(self.random.choices(PARTITIONS, k=self.random.randint(1, 4))):
            values = [self._value() for _ in range(self.random.choice((0, 1, 5, 40)))]
            chunks.append(chunk_of(values, self.ends[partition], partition))
            self.ends[partition] += len(values)
        return chunks

    def _value(self):
        self.counts["events"] += 1
        kind = self.random.random()
        if kind < 0.05:
            self.counts["malformed"] += 1
            return b"\xff"
        if kind < 0.4:
            one = self.random.choice(ALIKE)
        else:
            one = f"e{self.random.randint(1, 400)}{self.random.choice(('', ' ', '🔥'))}"
        if one.encode() in self.known:
            self.counts["duplicate"] += 1
        else:
            self.known.add(one.encode())
            self.rows.append(one)
            self.counts["valid"] += 1
        return value(one)


@pytest.mark.parametrize("looks", [True, False], ids=["as always", "by the index alone"])
def test_the_table_is_what_a_set_of_ids_says(indexed, looks, monkeypatch):
    if not looks:
        monkeypatch.setattr(deduplicate, "stored_ids", lambda connection, stream, ids: set())
    traffic, ours = Traffic(27 + looks), writer(indexed)
    for number in range(20):
        if traffic.random.random() < 0.2:
            ours = writer(indexed, f"w{number}")
        chunks = traffic.write()
        batch = ours.write(number, NOW, chunks)
        if traffic.random.random() < 0.2 and batch and batch.events:
            assert ours.write(number, NOW, chunks) == batch, "the answer to COMMIT was lost"
        if batch:
            assert batch.events == batch.valid + batch.total_dropped + batch.duplicate
    assert stored_ids(indexed) == traffic.rows
    assert traffic.counts["duplicate"] > 100
    with indexed.connect() as connection:
        for name, number in traffic.counts.items():
            assert connection.scalar(text(f"SELECT SUM({name}) FROM batches")) == number, name
        assert connection.scalar(text("SELECT SUM(revenue) FROM batches")) == 3 * len(traffic.rows)
        assert (
            connection.scalar(select(text("COUNT(*)")).select_from(dead_letters))
            == (traffic.counts["malformed"])
        )
    with owner(indexed).connect() as connection:
        quality = text("SELECT SUM(events), SUM(duplicate) FROM data_quality_per_hour")
        assert tuple(connection.execute(quality).one()) == (
            traffic.counts["events"],
            traffic.counts["duplicate"],
        )


def test_without_duplicates_nothing_is_looked_up(indexed):
    ours = writer(indexed)
    ours.write(1, NOW, [chunk("a", "b")])
    seen = lookups(indexed)
    ours.write(2, NOW, [chunk("c", start=2)])
    assert not seen
    ours.write(3, NOW, [chunk("d", "a", start=3)])
    assert len(seen) == 1
    batch = ours.write(4, NOW, [chunk("b", "e", start=5)])
    assert len(seen) == 2
    assert (batch.valid, batch.duplicate) == (1, 1)
    assert batch.line().startswith("Batch 4: 1 valid rows written, 0 dropped, 1 duplicate, ")
    assert stored_ids(indexed) == ["a", "b", "c", "d", "e"]


def test_duplicates_of_this_worker_and_of_others_are_found(indexed):
    ours, others = writer(indexed), writer(indexed, "other")
    ours.write(1, NOW, [chunk("a", "b", "c")])
    ours.write(2, NOW, [chunk("a", "d", start=3)])
    ours.write(3, NOW, [chunk("b", "e", start=5)])
    others.write(1, NOW, [chunk("x", "y", partition=1)])
    seen = lookups(indexed)
    asked = lambda *ids: [one for one in ids if f"X'{one.encode().hex()}'" in seen[-1]]  # noqa: E731
    # All duplicates were of the worker's own rows.
    batch = ours.write(4, NOW, [chunk("e", "f", "g", start=7)])
    assert (batch.valid, batch.duplicate) == (2, 1)
    assert asked("e", "f", "g") == ["e"]
    # The index finds the one that is not, and then all that are left are looked up.
    batch = ours.write(5, NOW, [chunk("h", "f", "x", "i", start=10)])
    assert (batch.valid, batch.duplicate) == (2, 2)
    assert len(seen) == 3
    assert asked("h", "f", "x", "i") == ["h", "x", "i"]
    # There may be more of that kind: all are looked up at once.
    refusals = statements(indexed, "ROLLBACK TO")
    batch = ours.write(6, NOW, [chunk("y", "j", start=14)])
    assert (batch.valid, batch.duplicate, len(seen), refusals) == (1, 1, 4, [])
    ours.write(7, NOW, [chunk("y", "k", start=16)])
    ours.write(8, NOW, [chunk("k", "l", start=18)])
    assert asked("k", "l") == ["k"]
    assert stored_ids(indexed) == [*"abcde", *"xy", *"fghijkl"]


def test_other_programs_rows_count_as_known(indexed):
    with indexed.begin() as connection:
        connection.execute(text("INSERT INTO flash_sale_events (event_id) VALUES ('x'), (NULL)"))
    batch = writer(indexed).write(1, NOW, [chunk("x", "y", "X")])
    assert (batch.valid, batch.duplicate) == (2, 1)


def test_the_second_of_two_is_stored_if_the_first_is_rejected(indexed):
    with dba(indexed).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(3)"))
        connection.execute(text("INSERT INTO flash_sale_events (event_id) VALUES ('old')"))
    values = [
        value("old"),
        value("a", category="wide"),
        value("b"),
        value("a"),
        value("a"),
        value("b"),
    ]
    batch = writer(indexed).write(1, NOW, [chunk_of(values)])
    assert stored_ids(indexed) == ["old", "b", "a"]
    assert (batch.valid, batch.duplicate, batch.dropped["unstorable"]) == (2, 3, 1)


def test_what_another_unique_index_rejects_is_a_dead_letter(indexed):
    with dba(indexed).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events ADD UNIQUE INDEX one (user_id)"))
    values = [value("a"), value("b", user_id="v"), value("c"), value("b", user_id="w")]
    batch = writer(indexed).write(1, NOW, [chunk_of(values)])
    assert stored_ids(indexed) == ["a", "b"]
    assert (batch.valid, batch.duplicate, batch.dropped["unstorable"]) == (2, 1, 1)


def test_a_writer_that_waited_skips_what_the_other_stored(indexed):
    """Its look-up cannot see them: they are not committed yet."""
    inserted, go_on = threading.Event(), threading.Event()

    def hold(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO batches") and not inserted.is_set():
            inserted.set()
            assert go_on.wait(10)

    event.listen(indexed, "before_cursor_execute", hold)
    first = threading.Thread(
        target=writer(indexed, "one").write, args=(1, NOW, [chunk("a", "b", partition=0)])
    )
    first.start()
    assert inserted.wait(10)
    found = []
    second = threading.Thread(
        target=lambda: found.append(
            writer(indexed, "two").write(1, NOW, [chunk("c", "b", "a", "d", partition=1)])
        )
    )
    second.start()
    waits = text(
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE info LIKE 'INSERT INTO flash_sale_events%' OR info LIKE 'LOAD DATA%'"
    )
    with indexed.connect() as connection:
        wait_until(lambda: connection.scalar(waits) or found, 10, "the second one waits")
    assert not found
    go_on.set()
    for one in (first, second):
        one.join(20)
    assert (found[0].valid, found[0].duplicate) == (2, 2)
    assert stored_ids(indexed) == ["a", "b", "c", "d"]


def test_writers_that_store_the_same_ids_at_once_get_on(indexed):
    """In opposite orders, so that they run into deadlocks as well."""
    ids = [f"shared {n}" for n in range(600)]
    orders = [ids, ids[::-1], Random(1).sample(ids, len(ids)), ids]
    failures: list[BaseException] = []
    kinds: set[str] = set()

    def run(partition):
        ours = writer(indexed, f"w{partition}")
        try:
            for start in range(0, 600, 60):
                values = [*orders[partition][start : start + 60], f"{partition}/{start}"]
                offset = start // 60 * 61
                found = chunk(*values, start=offset, partition=partition)
                while True:
                    try:
                        ours.write(start, NOW, [found])
                        break
                    except TransientError as error:
                        kinds.add(error.kind)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(partition,)) for partition in PARTITIONS]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not failures
    assert kinds <= {"deadlock", "lock_wait"}
    own = [f"{partition}/{start}" for partition in PARTITIONS for start in range(0, 600, 60)]
    assert sorted(stored_ids(indexed)) == sorted(ids + own)
    with indexed.connect() as connection:
        counted = connection.execute(
            text("SELECT SUM(events), SUM(valid), SUM(duplicate) FROM batches")
        ).one()
        assert tuple(counted) == (2440, 640, 1800)
        assert connection.scalar(text("SELECT COUNT(*) FROM dead_letters")) == 0
    assert stored_offsets(indexed) == dict.fromkeys(PARTITIONS, 610)


def test_replaying_a_stored_events_letter_adds_no_row(indexed):
    writer(indexed).write(1, NOW, [chunk_of([b"1", b"2", b"3", b"4", b"5", value("a")])])
    with indexed.begin() as connection:
        for offset, corrected in enumerate([value("a"), value("b"), value("b"), value("A")]):
            connection.execute(
                text(
                    "UPDATE dead_letters SET value = :value, value_bytes = LENGTH(value)"
                    " WHERE kafka_offset = :offset"
                ),
                {"value": corrected, "offset": offset},
            )
    letters = Replayer(indexed, "g", FLASH_SALES, announce=join, deduplicate=True)
    would = letters.replay(Filter(), dry_run=True)
    done = letters.replay(Filter())
    assert would == done
    assert (done.stored, done.known, _examples(done)) == (2, 2, [5])
    assert stored_ids(indexed) == ["a", "b", "A"]
    again = letters.replay(Filter())
    assert (again.stored, again.known, _examples(again)) == (0, 0, [5])
    with indexed.connect() as connection:
        line = connection.execute(select(batches).order_by(batches.c.id.desc()).limit(1)).one()
    assert (line.events, line.valid, line.duplicate) == (0, 2, 2)


def test_a_replay_tells_stored_from_rejected_events(indexed):
    with dba(indexed).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(3)"))
    values = [value("a"), value("b", category="wide"), value("c", category="wider")]
    writer(indexed).write(1, NOW, [chunk_of(values)])
    with indexed.begin() as connection:
        connection.execute(
            text(
                "UPDATE dead_letters SET value = :value, value_bytes = LENGTH(value) WHERE id = 1"
            ),
            {"value": value("a")},
        )
    done = Replayer(indexed, "g", FLASH_SALES, announce=join, deduplicate=True).replay(Filter())
    assert (done.stored, done.known, _examples(done)) == (0, 1, [2])
    assert ["category" in one.detail for one in done.refused.values()] == [True]


def _examples(outcome):
    assert outcome.total_refused == len(outcome.refused)
    return [one.example for one in outcome.refused.values()]
