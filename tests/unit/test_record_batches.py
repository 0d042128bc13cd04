"""Batches as brokers and other clients make them, read portion by portion."""

import struct
from itertools import pairwise

import pytest
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from pipeline.record import Record
from source.records import batches as record_batches
from source.records import packing
from source.records.batches import FetchedBatches

LIMIT = 1 << 20


@pytest.fixture(scope="module", autouse=True, params=["packed", "parsed"])
def _packing(request):
    """Batches are read by either."""
    if request.param == "packed" and not packing.is_packing():
        pytest.skip("the compiled module was not built, because no compiler is here")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packing, "_is_built", request.param == "packed")
        yield


CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(
    base, values, *, codec=0, transactional=False, producer=-1, headers=(), gaps=1, epoch=0, last=0
):
    """Record batch bytes at ``base``; offsets are ``gaps`` apart, and ``last`` more at the end."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, producer, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number * gaps, 1000 + number, b"k%d" % number, value, list(headers))
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">i", data, 12, epoch)
    if last or not values:
        struct.pack_into(">i", data, 23, max(0, len(values) - 1) * gaps + last)
        sign(data)
    return bytes(data)


def sign(data):
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))


def marker(base, producer, *, commit):
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1 << 20)
    builder.append(0, 1000, struct.pack(">hh", 0, int(commit)), b"\0" * 6, [])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">h", data, 21, 0x30)
    sign(data)
    return bytes(data)


def read(data, position=0, aborted=None, limit=LIMIT, records=1000, size=1 << 20):
    """All records, the positions after each portion, and what is left."""
    fetched = FetchedBatches(data, position, aborted, limit)
    found: list[Record] = []
    positions = [position]
    while not fetched.is_done and fetched.unreadable is None:
        portion = fetched.take(records, size)
        found += portion.records
        positions.append(fetched.position)
    return found, positions, fetched


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    gaps=st.integers(1, 3),
    portion=st.integers(1, 9),
    skip=st.integers(0, 12),
    cut=st.integers(0, 30),
    size=st.sampled_from([1, 40, 1 << 20]),
)
def test_every_record_is_handed_out_once_in_order(codec, sizes, gaps, portion, skip, cut, size):
    base, data = 0, b""
    wanted: dict[int, bytes] = {}
    for number in sizes:
        values = [b"%d" % (base + n * gaps) * 3 for n in range(number)]
        data += batch(base, values, codec=codec, gaps=gaps, last=2)
        wanted |= {base + n * gaps: value for n, value in enumerate(values)}
        base += max(0, number - 1) * gaps + 3
    end = base
    data += batch(base, [b"cut off"])[: cut + 12]
    found, positions, fetched = read(data, skip, records=portion, size=size)
    assert {r.offset: r.value for r in found} == {o: v for o, v in wanted.items() if o >= skip}
    assert [r.offset for r in found] == sorted({r.offset for r in found})
    assert all(a <= b for a, b in pairwise(positions))
    assert fetched.position == max(skip, end)
    assert fetched.unreadable is None


def test_record_has_key_timestamp_nulls_and_leader_epoch():
    found, _, fetched = read(batch(7, [None, b"", b"x"], epoch=3), 7)
    assert [(r.offset, r.timestamp, r.key, r.value) for r in found] == [
        (7, 1000, b"k0", None),
        (8, 1001, b"k1", b""),
        (9, 1002, b"k2", b"x"),
    ]
    assert FetchedBatches(batch(7, [b"x"], epoch=3), 7, None, LIMIT).take(9, 9).epoch == 3
    assert fetched.position == 10


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_header_keys_of_any_bytes_cost_no_record(codec):
    data = bytearray(batch(0, [b"a", b"b", b"c"], headers=[("name", b"\xff\x00")]))
    at = data.index(b"name")
    while at >= 0:
        data[at : at + 4] = b"\xff\xfe\xfd\xfc"
        at = data.find(b"name")
    if codec:
        packed = pack(codec, bytes(data[61:]))
        data[61:] = packed
        struct.pack_into(">h", data, 21, codec)
        struct.pack_into(">i", data, 8, len(data) - 12)
    sign(data)
    more = batch(3, [b"d"])
    for portion in (1, 2, 9):
        found, _, fetched = read(bytes(data) + more, records=portion)
        assert [(r.offset, r.key, r.value, r.timestamp) for r in found] == [
            (0, b"k0", b"a", 1000),
            (1, b"k1", b"b", 1001),
            (2, b"k2", b"c", 1002),
            (3, b"k0", b"d", 1000),
        ]
        assert fetched.unreadable is None


def pack(number, data):
    encode = {1: codec.gzip_encode, 2: codec.snappy_encode, 3: codec.lz4_encode}
    return bytes(encode.get(number, codec.zstd_encode)(data))


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2, 3])
def test_messages_of_old_clients_are_read(kind, codec):
    if (kind, codec) == (0, 3):
        pytest.skip("clients of that time framed LZ4 in a way of their own")
    builder = LegacyRecordBatchBuilder(kind, codec, 1 << 20)
    for number in range(3):
        builder.append(number, 1000 + number, b"k%d" % number, None if number == 1 else b"old")
    data = bytearray(builder.build())
    if codec and kind:
        struct.pack_into(">q", data, 0, 12)  # as a broker does: the last record's offset
    found, _, fetched = read(bytes(data))
    first = 10 if codec and kind else 0
    assert [(r.offset, r.key, r.value) for r in found] == [
        (first, b"k0", b"old"),
        (first + 1, b"k1", None),
        (first + 2, b"k2", b"old"),
    ]
    assert [r.timestamp for r in found] == ([1000, 1001, 1002] if kind else [None] * 3)
    assert fetched.position == first + 3


def test_read_committed_skips_aborted_records_and_markers():
    data = (
        batch(0, [b"a", b"b"], transactional=True, producer=5)
        + batch(2, [b"c"], transactional=True, producer=6)
        + batch(3, [b"d"])
        + marker(4, 5, commit=False)
        + marker(5, 6, commit=True)
        + batch(6, [b"e"], transactional=True, producer=5)
        + marker(7, 5, commit=True)
    )
    found, _, fetched = read(data, aborted=[(5, 0)])
    assert [r.value for r in found] == [b"c", b"d", b"e"]
    assert fetched.position == 8
    found, _, fetched = read(data)
    assert [r.value for r in found] == [b"a", b"b", b"c", b"d", b"e"]
    assert fetched.position == 8


def one_batch(base, kind, codec, events):
    """A batch of so many events, usual or not, which takes ``events + 1`` offsets."""
    values = [b"%d" % (base + n) for n in range(events)]
    if kind == "large":
        values[0] = b"x" * 70_000
    if kind.endswith("marker"):
        return b"".join(
            marker(base + n, 5, commit=kind == "commit marker") for n in range(events + 1)
        )
    producer = {"of 5": 5, "of 6": 6}.get(kind, -1)
    data = batch(
        base, values, codec=codec, transactional=producer > 0, producer=producer, last=1, epoch=base
    )
    return data[:-1] + b"\xff" if kind == "damaged" else data


@given(
    batches=st.lists(
        st.tuples(
            st.sampled_from(
                ["usual"] * 3
                + ["large", "damaged", "of 5", "of 6", "commit marker", "abort marker"]
            ),
            st.sampled_from(list(CODECS.values())),
            st.integers(1, 4),
        ),
        max_size=8,
    ),
    aborted=st.sampled_from([None, [], [(5, 0)], [(5, 6), (6, 2)]]),
    position=st.integers(0, 9),
    records=st.integers(1, 9),
    size=st.sampled_from([1, 100, 1 << 20]),
)
def test_small_batches_are_read_as_all_others_are(batches, aborted, position, records, size):
    base, data = 0, b""
    for kind, number, events in batches:
        data += one_batch(base, kind, number, events)
        base += events + 1

    def outcome():
        found, _, fetched = read(data, position, aborted, records=records, size=size)
        seen = [(r.offset, r.timestamp, r.key, r.value) for r in found]
        return seen, fetched.position, fetched.unreadable

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_batches, "_SMALL", 0)
        assert outcome() == whole


def test_a_small_batch_that_expands_is_handed_out_in_portions():
    data = batch(0, [b"x" * 40_000] * 10, codec=CODECS["zstd"])
    assert len(data) < record_batches._SMALL
    _, positions, _ = read(data, size=90_000)
    assert positions == [0, 2, 4, 6, 8, 10, 10]


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def changed(data, at, form, value, *, signed=True):
    data = bytearray(data)
    struct.pack_into(form, data, at, value)
    if signed:
        sign(data)
    return bytes(data)


GOOD = batch(10, [b"x" * 50, b"y" * 50])
BOMB = batch(10, [bytes(2 << 20)], codec=4)
BROKEN = {
    "checksum": (flip(GOOD), "checksum"),
    "format": (changed(GOOD, 16, ">b", 9), "format 9 is unknown"),
    "codec": (changed(GOOD, 21, ">h", 7), "unknown codec"),
    "bomb": (BOMB, "more than 1,048,576 bytes"),
    "damaged": (changed(batch(10, [b"z" * 500], codec=4), 70, ">q", 7), "zstd data is damaged"),
    "count": (changed(GOOD, 57, ">i", 9), "records are damaged"),
    "records": (changed(GOOD, 61, ">q", -1), "records are damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_unreadable_batch_loses_and_hides_nothing(kind):
    broken, why = BROKEN[kind]
    before = batch(7, [b"a", b"b", b"c"])
    after = batch(12, [b"d"])
    found, _, fetched = read(before + broken + after, 7, records=3)
    assert [r.value for r in found] == [b"a", b"b", b"c"]
    assert fetched.position == 10
    assert fetched.unreadable is not None
    assert (fetched.unreadable.offset, fetched.unreadable.after) == (10, 12)
    assert why in fetched.unreadable.why
    assert not fetched.is_done
    assert fetched.take(9, 9).records == [], "it stays in front of it"
    assert fetched.position == 10
    # Without a batch behind it, its own header tells where it ends.
    alone = read(before + broken, 7)[2].unreadable
    assert alone is not None
    assert alone.after == (11 if kind in ("bomb", "damaged") else 12)


def test_an_answer_with_less_than_one_batch_is_no_end_of_the_log():
    assert read(GOOD[:40], 10)[2].unreadable is not None


@given(st.binary(max_size=200), st.integers(0, 5))
def test_no_bytes_raise(data, position):
    for before in (b"", GOOD):
        _, positions, fetched = read(before + data, position)
        assert fetched.is_done or fetched.unreadable
        assert positions == sorted(positions)


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=9))
def test_no_damage_raises_even_when_the_checksum_is_right(at, junk):
    data = bytearray(GOOD)
    data[at : at + len(junk)] = junk
    data = data[: len(GOOD)]
    sign(data)
    _, _, fetched = read(bytes(data), 10)
    assert fetched.is_done or fetched.unreadable


def test_unreadable_old_message_is_named_by_its_first_offset():
    builder = LegacyRecordBatchBuilder(1, 1, 1 << 20)
    for number in range(3):
        builder.append(number, 1000, None, b"old")
    data = bytearray(flip(bytes(builder.build())))
    struct.pack_into(">q", data, 0, 12)
    found = read(batch(9, [b"a"]) + bytes(data), 9)[2].unreadable
    assert found is not None
    assert (found.offset, found.after) == (10, 13)


def test_the_next_batchs_leader_epoch_is_known_before_it_is_taken():
    data = batch(0, [b"a", b"b"], epoch=3) + batch(2, [b"c"], epoch=4)
    fetched = FetchedBatches(data, 0, None, LIMIT)
    assert fetched.next_epoch == 3
    assert fetched.take(1, 1000).epoch == 3
    assert fetched.next_epoch == 3, "the batch is read in part"
    assert fetched.take(9, 1000).epoch == 4
    assert fetched.next_epoch is None
    assert FetchedBatches(data[-61:-30], 2, None, LIMIT).next_epoch is None, "cut off"
