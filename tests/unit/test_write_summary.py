"""What a write leaves out, and how it is summed up, without a database."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from db.write.writer import _dead_letters, _named, _skip_stored, ledger_line
from pipeline.batch import Batch, Refused
from pipeline.chunk import Chunk
from pipeline.errors import OffsetGapError
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.partitions import of_topic

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def event(offset, **fields):
    known = {"event_id": f"e{offset}", "user_id": "u", "category": "c"}
    return PlainRecord(offset, json.dumps({**known, **fields}).encode(), None, 1000 + offset)


def chunk(start, end, partition=0, **fields):
    records = [event(offset, **fields) for offset in range(start, end)]
    return Chunk.transform(FLASH_SALES, Partition("t", partition), start, end, records)


def covered(chunks):
    return sorted(
        (chunk.partition.number, offset)
        for chunk in chunks
        for offset in range(chunk.start, chunk.end)
    )


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4)), max_size=8),
    st.fixed_dictionaries({0: st.integers(0, 12), 1: st.integers(0, 12)}),
)
def test_what_is_stored_is_skipped_and_the_rest_written_once(sizes, stored):
    """Chunks that follow each other from offset 0 on, some or all of them stored already."""
    chunks, ends = [], {0: 0, 1: 0}
    for partition, size in sizes:
        chunks.append(chunk(ends[partition], ends[partition] + size, partition))
        ends[partition] += size
    new = _skip_stored(chunks, of_topic("t", stored))
    assert covered(new) == [
        (partition, offset)
        for partition in (0, 1)
        for offset in range(stored[partition], ends[partition])
    ]
    assert all(one.start < one.end and one.valid == one.end - one.start for one in new)


def test_a_chunk_that_comes_twice_is_written_once():
    assert covered(
        _skip_stored([chunk(0, 3), chunk(0, 3), chunk(2, 5)], of_topic("t", {0: 1}))
    ) == [(0, offset) for offset in range(1, 5)]


@pytest.mark.parametrize(
    ("chunks", "stored", "sentence"),
    [
        ([chunk(1, 3)], of_topic("t", {0: 0}), "t/0 is 0, but the worker's events begin at 1"),
        (
            [chunk(0, 2), chunk(3, 4)],
            of_topic("t", {0: 0}),
            "t/0 is 2, but the worker's events begin at 3",
        ),
        ([chunk(0, 2)], of_topic("t", {1: 0}), "t/0 is gone, but the worker's events begin at 0"),
    ],
)
def test_a_gap_is_rejected_and_named(chunks, stored, sentence):
    with pytest.raises(OffsetGapError, match=sentence):
        _skip_stored(chunks, stored)


def test_a_ledger_line_accounts_for_every_event():
    bad = [
        PlainRecord(3, b"{", None, 500),
        PlainRecord(4, b"{}", None, 500),
        event(5, category="c" * 51),
    ]
    chunks = [
        chunk(0, 3, price=1.5, quantity=2),
        Chunk.transform(FLASH_SALES, Partition("t", 0), 3, 9, bad),
        chunk(7, 8, partition=1, price="x"),
        chunk(20, 20, partition=2),
    ]
    refused = [Refused(Partition("t", 0), 9, "too dear"), Refused(Partition("t", 1), 8, "too dear")]
    batch = Batch.of(FLASH_SALES, 5, NOW, chunks, 0.25, refused)
    line = ledger_line(batch, "group", "worker")
    assert line.pop("written") == batch.written
    assert line == {
        "consumer_group": "group",
        "worker": "worker",
        "number": 5,
        "opened": NOW,
        "events": 9,
        "valid": 4,
        "malformed": 1,
        "invalid": 1,
        "unstorable": 3,
        "duplicate": 0,
        "filled": {"price": 1, "quantity": 1},
        "repaired": {"price.mistyped": 1},
        "revenue": 9.0,
        "seconds": 0.25,
    }
    assert batch.offsets == of_topic("t", {0: 9, 1: 8, 2: 20})
    assert batch.rows == of_topic("t", {0: 3, 1: 1, 2: 0})
    assert batch.oldest_timestamp == 500
    assert batch.refused == refused
    assert Batch.of(FLASH_SALES, 6, NOW, [chunk(4, 4)], 0.0).oldest_timestamp is None


def test_a_rejected_row_is_a_dead_letter_as_sent_or_rebuilt():
    chunks = [
        chunk(0, 3),
        Chunk.transform(FLASH_SALES, Partition("t", 0), 3, 4, [PlainRecord(3, b"{")]),
    ]
    refused = [{0: "too dear", 2: "too cheap"}, {}]
    asked = []

    def refetch(partition, offsets):
        asked.append((partition, offsets))
        yield 0, PlainRecord(0, b"as it came", b"key", 7)
        yield 2, None

    malformed, came, made = [
        letter
        for partition, letter in _dead_letters(chunks, refused, refetch)
        if partition == Partition("t", 0)
    ]
    assert asked == [(Partition("t", 0), [0, 2])]
    assert (malformed.offset, malformed.reason) == (3, "malformed")
    assert (came.offset, came.value, came.reason) == (0, b"as it came", "unstorable")
    assert came.detail == "the database says: too dear"
    assert json.loads(made.value or b"")["event_id"] == "e2"
    assert made.offset == 2
    assert made.detail == (
        "the database says: too cheap"
        " (Kafka no longer has the event: the value is made from its row)"
    )
    assert _named(chunks, refused) == [
        Refused(Partition("t", 0), 0, "the database says: too dear"),
        Refused(Partition("t", 0), 2, "the database says: too cheap"),
    ]
