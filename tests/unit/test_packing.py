"""Records packed by compiled code are those of the parsers, and so are the chunks made of them."""

import struct
import sys
import threading
import time
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from commands.worker import versions
from models.whole_events import whole_rows
from pipeline.chunk import Chunk
from pipeline.packed_records import PackedRecords, PackedValues, joined, values
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from source.records import packing
from source.records.batches import _HEADER, _without_headers
from tests.contract.whole_values import WHOLE, whole

pytestmark = pytest.mark.skipif(
    not packing.is_packing() or whole_rows is None,
    reason="the compiled modules were not built, because no compiler is here",
)
TEXTS = st.none() | st.binary(max_size=200)
HEADERS = st.lists(st.tuples(st.text(max_size=3), TEXTS), max_size=2)
RECORDS = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 2**42), TEXTS, TEXTS, HEADERS),
    min_size=1,
    max_size=6,
)


def message(records, base=7):
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, 0, 0, 1 << 20)
    offset = 0
    for number, (gap, timestamp, key, value, headers) in enumerate(records):
        offset += gap if number else 0
        builder.append(offset, timestamp, key, value, headers)
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    return bytes(data)


def packed(data):
    """The records, packed; None where that is left to the parsers."""
    messages: list[bytes] = []
    places = array("q")
    if len(data) < _HEADER.size:
        # Not a batch yet: the source waits for the rest.
        return None
    if not packing.pack(data, _HEADER.unpack_from(data), messages, places):
        assert (messages, places) == ([], array("q"))
        return None
    return PackedRecords(messages, places)


def plain(records):
    return [PlainRecord(one.offset, one.value, one.key, one.timestamp) for one in records]


@given(RECORDS)
def test_records_are_those_of_aiokafka(records):
    data = message(records)
    found = packed(data)
    assert plain(found) == plain(DefaultRecordBatch(data))
    assert plain(found[1:]) == plain(found)[1:]
    assert found[-1] == plain(found)[-1]
    assert found.alone()[0] == found[0]
    with pytest.raises(IndexError):
        found[len(records)]


@given(RECORDS, st.integers(61, 2000), st.binary(max_size=3), st.integers(0, 12))
def test_damaged_batches_are_left_or_read_alike(records, at, put, cut):
    data = bytearray(message(records))
    place = 61 + (at - 61) % max(1, len(data) - 61)
    data[place : place + len(put)] = put
    damaged = bytes(data[: len(data) - cut])
    found = packed(damaged)
    if found is not None:
        assert plain(found) == plain(_without_headers(damaged))


@pytest.mark.parametrize("end", [b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\xff" * 11, b"\x80" * 10])
def test_numbers_too_long_are_left(end):
    data = message([(1, 5, None, b"x", [])])
    assert packed(data[:61] + end + data[61:]) is None
    assert packed(data[:63] + end + data[63:]) is None


@pytest.mark.parametrize("count", [-1, 0, 2, 2**31 - 1])
def test_another_count_than_there_are_is_left(count):
    data = bytearray(message([(1, 5, None, b"x", [])]))
    struct.pack_into(">i", data, 57, count)
    assert packed(bytes(data)) is None


@pytest.mark.parametrize("headers", [[], [("a", b"b")]])
def test_chunk_of_packed_records_is_the_same(headers):
    values = [None, b"", b"{", whole(), *(whole(**{name: "null"}) for name in WHOLE)]
    values += [whole(price='"x"'), whole(event_type='"a\\nb"'), whole()[:-1], whole() + b"}"]
    halves = [
        message([(1, 9, b"k", value, headers) for value in some], base)
        for base, some in ((0, values), (50, values[::-1]))
    ]
    one, other = map(packed, halves)
    other = PackedRecords([halves[0], halves[1]], other.places[:])
    other.places[2::7] = array("q", [1] * len(other))
    found = joined(PackedRecords(other.messages, one.places), other)
    made, expected = (
        Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 100, records)
        for records in (found, plain(found))
    )
    assert made == expected
    assert made.valid > len(values)


@pytest.mark.parametrize(
    ("which", "start", "size"),
    [(1, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 101), (0, 100, 1), (0, 101, 0), (0, 0, -2)],
)
def test_values_outside_of_their_message_are_rejected(which, start, size):
    places = (array("q", [one]) for one in (which, start, size))
    assert whole_rows is not None
    with pytest.raises(ValueError, match="no "):
        whole_rows(PackedValues([b"x" * 100], *places))


def many(count, headers=None):
    """Packed records of every kind."""
    kinds = [
        whole(),
        whole(user_id='"Zoé 😀"', category='"漢字"'),
        whole(price="0.1", quantity="3"),
        whole(price="1234567.89", quantity="12345"),
        whole(user_id="null", quantity="null"),
        whole(event_type='"a\\nb"'),
        None,
        b"{",
    ]
    return packed(
        message([(1, 9, b"k", kinds[place % 8], headers or []) for place in range(count)])
    )


def test_threads_that_make_rows_at_once_do_not_mix_them():
    sizes = [1, 7, 100, 1_000, 5_000]
    batches = [many(size, headers) for size in sizes for headers in ([], [("a", b"b")])]

    def made(records):
        return Chunk.transform(FLASH_SALES, Partition("t", 0), 0, len(records), records)

    expected = [made(records) for records in batches]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(made, batches * 10)) == expected * 10


def test_other_threads_run_while_rows_are_made():
    assert whole_rows is not None
    records, ticks, done = values(many(5_000)), [0], threading.Event()

    def tick():
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    # So long that another thread runs only where the lock is released.
    sys.setswitchinterval(1_000)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(tick)
            try:
                before, until = ticks[0], time.monotonic() + 20
                while ticks[0] == before and time.monotonic() < until:
                    whole_rows(records)
                after = ticks[0]
            finally:
                done.set()
    finally:
        sys.setswitchinterval(interval)
    assert after > before


def test_the_first_line_says_when_batches_are_read_in_python(monkeypatch):
    assert "batches by" not in versions(FLASH_SALES)
    monkeypatch.setattr(packing, "_is_built", False)
    assert "batches by aiokafka's parser, record by record, rows by" in versions(FLASH_SALES)
