"""Dead letters as rows: one for each event, whatever its size, in bounded memory."""

import tracemalloc
from collections import Counter
from hashlib import sha256

import pytest
from sqlalchemy import make_url, select, text, update

from agents.flash_sales import FLASH_SALES
from commands.dead_letter_lines import whole
from db.connection.engine import connect
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Outcome, Replayer
from db.letter_search import LetterSearch
from db.rollup.watermark import join
from db.schema.tables import batches, dead_letters, stream_offsets
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from tests.helpers.accounts import dba
from tests.helpers.sink import NOW, dead_letter_rows, event, record, stored_ids

MIB = 1 << 20


def write(engine, number, *records, end=None):
    start = records[0].offset
    found = Chunk.transform(
        FLASH_SALES, Partition("t", 0), start, end or records[-1].offset + 1, records
    )
    return Writer(engine, "g", FLASH_SALES, "w").write(number, NOW, [found])


def test_rereading_an_event_adds_no_dead_letter(begun):
    records = [record(0, b"bad"), record(1, None), record(2, b"")]
    write(begun, 1, *records)
    with begun.begin() as connection:
        connection.execute(update(dead_letters).values(replayed_at=NOW.replace(tzinfo=None)))
    before = dead_letter_rows(begun)
    assert [(row.value, row.value_bytes) for row in before] == [(b"bad", 3), (None, None), (b"", 0)]
    assert [row.value_sha256 for row in before[:2]] == [
        sha256(b"bad").digest(),
        sha256(b"").digest(),
    ]

    OffsetStore(begun, "g").set({Partition("t", 0): 0})
    write(begun, 2, *records, record(3, b"also bad"))
    assert dead_letter_rows(begun)[:3] == before, "when it was written and replayed stays as it was"
    assert [row.kafka_offset for row in dead_letter_rows(begun)] == [0, 1, 2, 3]


def test_new_event_at_an_old_position_is_a_new_dead_letter(begun):
    write(begun, 1, record(0, b"bad"))
    OffsetStore(begun, "g").set({Partition("t", 0): 0})
    write(begun, 2, record(0, b"of the topic made again"))
    assert [row.value for row in dead_letter_rows(begun)] == [b"bad", b"of the topic made again"]


def test_the_same_bytes_of_a_recreated_topic_are_another_letter(begun):
    of_each = [record(0, b"bad", timestamp=when) for when in (1_795_774_530_123, None)]
    of_each.append(record(0, b"bad", timestamp=1_795_774_530_124))
    for number, one in enumerate(of_each * 2, 1):
        OffsetStore(begun, "g").set({Partition("t", 0): 0})
        write(begun, number, one)
    assert [row.kafka_ts and row.kafka_ts.microsecond for row in dead_letter_rows(begun)] == [
        123_000,
        None,
        124_000,
    ]


def test_offsets_that_are_set_forget_which_record_was_the_last(begun):
    known = {"last_offset": 4, "last_epoch": 1, "last_timestamp": 5, "last_checksum": 6}
    with begun.begin() as connection:
        connection.execute(update(stream_offsets).values(**known))
    OffsetStore(begun, "g").set({Partition("t", 0): 7, Partition("t", 2): 1})
    with begun.connect() as connection:
        rows = connection.execute(select(stream_offsets).order_by("kafka_partition")).mappings()
        found = [{name: row[name] for name in known} for row in rows]
    assert found == [dict.fromkeys(known), known, dict.fromkeys(known)]


@pytest.fixture
def small_packets(server, migrated_url):
    """The database on a server that takes 1 MiB in one statement."""
    [(before,)] = server.execute("SELECT @@GLOBAL.max_allowed_packet")
    server.execute(f"SET GLOBAL max_allowed_packet = {MIB}")
    # A session keeps the limit it was opened under.
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
    OffsetStore(engine, "g").begin({Partition("t", 0): 0})
    yield engine
    engine.dispose()
    server.execute(f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.parametrize(
    ("value_bytes", "key_bytes"), [(3 * MIB, 3), (3 * MIB, 3 * MIB), (10, 3 * MIB)]
)
def test_a_value_larger_than_the_server_takes_is_cut(small_packets, value_bytes, key_bytes):
    value, key = b"\xff'" * (value_bytes // 2), b"\\k" * (key_bytes // 2)
    write(small_packets, 1, record(0, event(0)), record(1, value, key), record(2, b"next"))
    assert stored_ids(small_packets) == ["e0"]
    cut, following = dead_letter_rows(small_packets)
    assert following.value == b"next"
    assert value.startswith(cut.value)
    assert key.startswith(cut.kafka_key)
    assert (cut.value_bytes, cut.value_sha256) == (len(value), sha256(value).digest())
    if value_bytes > MIB:
        assert 400_000 < len(cut.value) < MIB // 2, "as much as fits"
    else:
        assert cut.value == value
    assert (len(cut.kafka_key) < len(key)) is (key_bytes > MIB)


def test_a_cut_letter_says_so_and_is_not_replayed(small_packets):
    value = event(1, event_type="x" * 2 * MIB)
    write(small_packets, 1, record(0, value))
    [letter] = dead_letter_rows(small_packets)
    shown = whole(letter)
    digest = sha256(value).hexdigest()
    assert f"value cut at {len(letter.value)} of {len(value)} bytes, SHA-256 {digest}" in shown
    done = Replayer(small_packets, "g", FLASH_SALES, announce=join).replay(Filter())
    [refused] = done.refused.values()
    assert (done.stored, refused.dead_letters, refused.example) == (0, 1, letter.id)
    assert refused.detail == "only part of the value was stored: send the event again"
    [reported] = LetterSearch(small_packets, "g", FLASH_SALES).find(Filter())
    assert (reported["bytes"], reported["replay"]) == (len(value), None)


def test_page_shows_which_dead_letters_can_be_replayed(begun):
    with dba(begun).begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT few CHECK (quantity < 5)")
        )
    many = [event(n, quantity=9) for n in range(2)]
    write(begun, 1, *(record(n, value) for n, value in enumerate([*many, b"bad", None])))
    letters = sorted(dead_letter_rows(begun), key=lambda letter: letter.kafka_offset)
    with dba(begun).begin() as connection:
        connection.execute(text("ALTER TABLE flash_sale_events DROP CONSTRAINT few"))
    Replayer(begun, "g", FLASH_SALES, announce=join).replay(Filter(ids=(letters[0].id,)))
    told = {
        one["id"]: one["replay"] for one in LetterSearch(begun, "g", FLASH_SALES).find(Filter())
    }
    states = ("done", "possible", "refused", "refused")
    assert told == {letter.id: state for letter, state in zip(letters, states, strict=True)}


def test_list_reads_only_the_beginnings_of_values(begun):
    write(begun, 1, record(0, b"x" * MIB, b"k" * MIB), record(1, None))
    tombstone, letter = DeadLetters(begun, "g").find(Filter(), max_bytes=5)
    assert (letter.value, letter.kafka_key, letter.value_bytes) == (b"xxxxx", b"kkkkk", MIB)
    assert tombstone.value is None
    assert len(list(DeadLetters(begun, "g").find(Filter()))[1].value) == MIB


def test_whole_value_is_not_marked_as_cut(begun):
    write(begun, 1, record(0, b"bad"), record(1, None))
    assert not any("cut" in whole(letter) for letter in dead_letter_rows(begun))


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([b"%03d" % n * 100_000 for n in range(300)], 8 * MIB),
        ([b"%03d" % n for n in range(20_000)], 8 * MIB),
        ([b"x" * 9 * MIB], 80 * MIB),
    ],
    ids=["many_large", "many_small", "one_too_large"],
)
def test_memory_is_bounded_for_many_dead_letters_in_a_write(begun, values, limit):
    records = [record(n, value, b"k") for n, value in enumerate(values)]
    found = [Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)]
    writer = Writer(begun, "g", FLASH_SALES, "w")
    tracemalloc.start()
    writer.write(1, NOW, found)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < limit, f"{peak / MIB:.1f} MiB"
    stored = dead_letter_rows(begun)
    assert [row.value for row in stored] == [value[: 8 * MIB] for value in values]
    assert [row.value_bytes for row in stored] == list(map(len, values))


def test_replay_takes_few_large_dead_letters_at_once(begun, monkeypatch):
    write(begun, 1, *(record(n, event(n, event_id=None)) for n in range(6)))
    with begun.begin() as connection:
        for letter in dead_letter_rows(begun):
            value = event(letter.kafka_offset)
            connection.execute(
                update(dead_letters)
                .where(dead_letters.c.id == letter.id)
                .values(value=value, value_bytes=len(value))
            )
    monkeypatch.setattr("db.dead_letters.query.PORTION_BYTES", 2 * len(event(0)))
    found = Replayer(begun, "g", FLASH_SALES, announce=join).replay(Filter())
    assert found == Outcome(stored=6, filled=Counter(price=6, quantity=6))
    assert stored_ids(begun) == [f"e{n}" for n in range(6)]
    with begun.connect() as connection:
        assert connection.execute(select(batches.c.valid).where(batches.c.events == 0)).all() == [
            (2,),
            (2,),
            (2,),
        ]
