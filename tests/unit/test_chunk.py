"""A chunk's parts are what they would have been alone, whatever is in it."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import flash_sales
from models.quality import BITS, Kind
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import LastRecord, PlainRecord

#: What makes the rows is either; set for each test by the fixture.
FLASH_SALES = flash_sales.FLASH_SALES


@pytest.fixture(scope="module", autouse=True, params=["compiled", "python"])
def _rows_by(request):
    global FLASH_SALES
    if request.param == "python":
        FLASH_SALES = replace(flash_sales.FLASH_SALES, whole_rows=None)
    elif flash_sales.FLASH_SALES.whole_rows is None:
        pytest.skip("the compiled module was not built, because no compiler is here")
    yield
    FLASH_SALES = flash_sales.FLASH_SALES


def record(offset, value):
    return PlainRecord(offset, value, b"key", 7)


def value(text, **fields):
    event = {"event_id": text, "user_id": "u", "category": "c", "event_type": "purchase"}
    return json.dumps({**event, **fields}, ensure_ascii=False).encode()


TEXTS = st.text("\n\r\\\"'],[é🔥ab", max_size=6)
IDS = st.text("é🔥ab", max_size=6)
PRICES = st.integers(0, 90_000).map(lambda cents: cents / 100)
VALUES = st.one_of(
    st.builds(value, TEXTS, product_id=TEXTS, price=st.floats(0, 9), quantity=st.integers(0, 9)),
    st.builds(value, IDS, product_id=IDS, price=PRICES, quantity=st.integers(0, 9)),
    st.builds(value, TEXTS, price=st.just("x")),
    st.sampled_from([b"{", None, b"{}"]),
)
RECORDS = st.lists(st.tuples(VALUES, st.integers(1, 3)), min_size=1, max_size=8)


def made(found):
    records, offset = [], 5
    for one, gap in found:
        records.append(record(offset, one))
        offset += gap
    last = LastRecord.of(records[-1], 3)
    return records, Chunk.transform(FLASH_SALES, Partition("t", 1), 5, offset, records, last=last)


def same(one: Chunk, other: Chunk) -> None:
    for name in ("start", "end", "rows", "flags", "dead", "last", "events", "valid"):
        assert getattr(one, name) == getattr(other, name), name
    assert list(one.offsets) == list(other.offsets)
    # The order in which they were added up need not be the same.
    assert math.isclose(one.total, other.total, rel_tol=1e-12)


@given(RECORDS, st.integers(0, 30))
def test_since_is_what_would_have_come_of_the_later_records(found, offset):
    records, chunk = made(found)
    offset = min(offset, chunk.end)
    later = [record for record in records if record.offset >= offset]
    start = max(offset, chunk.start)
    alone = Chunk.transform(
        FLASH_SALES, Partition("t", 1), start, chunk.end, later, last=chunk.last
    )
    same(chunk.since(offset), alone)


@given(RECORDS.filter(lambda found: len(found) > 1))
def test_what_a_split_gives_covers_the_whole(found):
    records, chunk = made(found)
    left, right = chunk.split()
    border = left.end
    assert (left.start, right.start, right.end) == (chunk.start, border, chunk.end)
    assert left.events
    assert right.events
    same(
        left,
        Chunk.transform(
            FLASH_SALES, Partition("t", 1), 5, border, [r for r in records if r.offset < border]
        ),
    )
    assert right.last == chunk.last
    assert left.last is None, "which record is its last was not kept"


@given(RECORDS, st.data())
def test_rows_that_are_left_out_are_as_if_they_had_not_come(found, data):
    records, chunk = made(found)
    left_out = data.draw(st.sets(st.sampled_from(range(chunk.valid)))) if chunk.valid else set()
    offsets = {chunk.offsets[row] for row in left_out}
    rest = chunk.without(left_out)
    assert (rest.start, rest.end, rest.last) == (chunk.start, chunk.end, chunk.last)
    others = [record for record in records if record.offset not in offsets]
    expected = Chunk.transform(FLASH_SALES, Partition("t", 1), 5, chunk.end, others)
    same(rest, replace(expected, oldest=chunk.oldest, last=chunk.last))


def test_total_of_a_part_is_exact():
    prices = [0.01, 99_999_999.0, 0.02, 0.03]
    records = [record(n, value("e", price=one, quantity=1)) for n, one in enumerate(prices)]
    chunk = Chunk.transform(FLASH_SALES, Partition("t", 1), 0, 4, records)
    endless = replace(chunk, known_total=math.inf)
    for part, total in (
        (chunk.without({1}), 0.06),
        (chunk.without({0, 3}), 99_999_999.02),
        (chunk.since(2).without({0}), 0.03),
        (endless.without({0}), 99_999_999.05),
    ):
        assert math.isclose(part.total, total, rel_tol=1e-15)


@given(VALUES)
def test_an_event_made_from_its_row_becomes_that_row(sent):
    chunk = Chunk.transform(
        FLASH_SALES, Partition("t", 1), 5, 7, [record(5, value("e")), record(6, sent)]
    )
    if chunk.valid == 2:
        again = Chunk.transform(FLASH_SALES, Partition("t", 1), 6, 7, [chunk.rebuilt(1)])
        assert again.rows == chunk.rows.split(b"\n")[1]
        assert again.offsets[0] == 6


def test_size_is_that_of_what_is_kept_not_of_what_came():
    large = value("e", unknown="x" * 20_000)
    chunk = Chunk.transform(
        FLASH_SALES, Partition("t", 1), 0, 100, [record(n, large) for n in range(100)]
    )
    assert chunk.size < 30_000
    dead = Chunk.transform(
        FLASH_SALES, Partition("t", 1), 0, 10, [record(n, b"x" * 20_000) for n in range(10)]
    )
    assert dead.size > 200_000


def test_a_chunk_says_what_became_of_its_events():
    records = [
        PlainRecord(5, value("a", price=2.5, quantity=2), b"key", 7),
        PlainRecord(6, b"{", b"key", 8),
        PlainRecord(8, value("b", price="x"), None, 9),
        PlainRecord(9, None, None, None),
    ]
    chunk = Chunk.transform(FLASH_SALES, Partition("t", 1), 5, 12, records)
    repaired = BITS["price", Kind.MISTYPED] | sum(
        BITS[name, Kind.FILLED] for name in ("price", "quantity")
    )
    assert (chunk.valid, chunk.events, list(chunk.offsets)) == (2, 4, [5, 8])
    assert list(chunk.flags) == [0, repaired]
    assert chunk.quality() == {repaired: 1}
    assert chunk.total == 5.0
    assert chunk.oldest == 7, "the first one's"
    assert [(dead.offset, dead.timestamp, dead.key, dead.value) for dead in chunk.dead] == [
        (6, 8, b"key", b"{"),
        (9, None, None, None),
    ]
    assert replace(chunk, duplicate=3).events == 7


@given(RECORDS, st.integers(0, 2000))
def test_size_counts_everything_that_is_kept(found, more):
    records, chunk = made(found)
    kept = len(chunk.rows) + 16 * chunk.valid
    kept += sum(len(letter.key or b"") + len(letter.value or b"") for letter in chunk.dead)
    assert kept < chunk.size <= kept + 1_000 * (1 + len(chunk.dead))
    letter = PlainRecord(chunk.end, b"{", b"k" * more)
    longer = Chunk.transform(FLASH_SALES, Partition("t", 1), 5, chunk.end + 1, [*records, letter])
    assert longer.size >= chunk.size + more


def test_where_nothing_is_summed_the_total_of_a_part_is_nothing():
    stream = replace(FLASH_SALES, summed=None)
    records = [record(offset, value("e", price=2.5, quantity=2)) for offset in range(3)]
    chunk = Chunk.transform(stream, Partition("t", 1), 0, 3, records)
    assert (chunk.total, chunk.since(1).total, chunk.without({0}).total) == (0.0, 0.0, 0.0)
