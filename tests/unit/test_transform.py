"""Any bytes become a row or a rejection, never both, never an exception; and rows fit the table."""

import asyncio
import base64
import ctypes
import json
import math
import sys
from collections import Counter

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import decode
from models import strict_json as document
from models.event import EnrichedEvent, FlashSaleEvent, max_length
from models.quality import Note, tally
from models.rules import MAX_FLOAT, Reason, Rejection, transform
from tests.contract.storable import assert_storable
from tests.contract.test_cases import load

EVENT = {
    "event_id": "e",
    "user_id": "u",
    "product_id": "p",
    "category": "c",
    "event_type": "view",
    "price": 1.5,
    "quantity": 2,
    "timestamp": "2026-11-27T10:15:30Z",
}
VALUES = [base64.b64decode(case["value_b64"] or b"") for case in load("cases.jsonl")]


def changed(**fields):
    return json.dumps({**EVENT, **fields}).encode()


def row(value):
    found = transform(value)
    assert not isinstance(found, Rejection), found
    return dict(zip(EnrichedEvent._options.fields, found[0], strict=True)), Note(found[1])


def assert_one_or_the_other(value):
    transformed = transform(value)
    if isinstance(transformed, Rejection):
        assert transformed.reason in Reason
        assert transformed.detail
    else:
        assert_storable(transformed[0])


numbers = st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
moments = st.datetimes().map(lambda d: d.isoformat()) | st.text("0123456789-+:. TZUC", max_size=30)
documents = st.fixed_dictionaries(
    {},
    optional={
        **{name: anything | st.text(max_size=60) for name in EVENT},
        "timestamp": anything | moments,
        "other": anything,
    },
)


@given(st.binary(max_size=200))
def test_any_bytes(value):
    assert_one_or_the_other(value)


@given(documents)
def test_any_json_object(fields):
    value = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode(errors="surrogatepass")
    assert_one_or_the_other(value)


@given(st.sampled_from(VALUES), st.integers(0, 400), st.binary(max_size=4), st.integers(0, 4))
def test_any_mutation_of_the_contract(value, place, inserted, cut):
    place = min(place, len(value))
    assert_one_or_the_other(value[:place] + inserted + value[place + cut :])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{name: st.none() | st.text(max_size=60) for name in EVENT},
            "price": st.none() | numbers,
            "quantity": st.none() | st.integers(-(2**31), 2**31 - 1),
        },
    )
)
def test_both_ways_of_decoding_agree(fields):
    value = json.dumps(fields).encode()
    try:
        strict = msgspec.structs.asdict(decode._strictly(value))
    except ValueError:
        return  # half a surrogate pair: malformed either way
    lenient, notes = decode._leniently(value)
    assert msgspec.structs.asdict(lenient) == strict
    assert notes == 0


def test_the_struct_has_the_records_fields():
    assert decode.Event.__struct_fields__ == tuple(FlashSaleEvent._options.fields)


def test_records_know_their_lengths():
    assert (max_length("category"), max_length("event_type")) == (50, 20)


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({}, Note(0)),
        ({"user_id": None}, Note.USER_ID_FILLED),
        ({"category": None}, Note.CATEGORY_FILLED),
        ({"price": None}, Note.PRICE_FILLED),
        ({"quantity": None}, Note.QUANTITY_FILLED),
        ({"price": "1.5"}, Note.PRICE_MISTYPED | Note.PRICE_FILLED),
        ({"quantity": 2.0}, Note.QUANTITY_MISTYPED | Note.QUANTITY_FILLED),
        ({"quantity": 2**31}, Note.QUANTITY_OUT_OF_RANGE | Note.QUANTITY_FILLED),
        ({"event_id": 5}, Note.EVENT_ID_STRINGIFIED),
        ({"user_id": True}, Note.USER_ID_STRINGIFIED),
        ({"product_id": []}, Note.PRODUCT_ID_STRINGIFIED),
        ({"category": {}}, Note.CATEGORY_STRINGIFIED),
        ({"event_type": 1.5}, Note.EVENT_TYPE_STRINGIFIED),
        ({"timestamp": "soon"}, Note.TIMESTAMP_UNPARSABLE),
        ({"timestamp": 2026}, Note.TIMESTAMP_STRINGIFIED),
        ({"timestamp": {}}, Note.TIMESTAMP_STRINGIFIED | Note.TIMESTAMP_UNPARSABLE),
    ],
)
def test_what_was_filled_and_mended_is_noted(fields, notes):
    assert row(changed(**fields))[1] == notes


def test_notes_are_tallied_by_field_and_kind():
    notes = Counter(
        {
            int(Note.PRICE_MISTYPED | Note.PRICE_FILLED): 2,
            int(Note.PRICE_FILLED): 3,
            int(Note.QUANTITY_OUT_OF_RANGE | Note.QUANTITY_FILLED): 1,
        }
    )
    assert tally(notes) == (
        {"price": 5, "quantity": 1},
        {"price.mistyped": 2, "quantity.out_of_range": 1},
    )


def test_every_note_can_be_tallied():
    filled, mended = tally(Counter(note.value for note in Note))
    assert len(filled) + len(mended) == len(Note)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "no value (a tombstone)"),
        (b"", "Expecting value at character 0"),
        (b"[]", "JSON, but not an object"),
        (b'{"a":NaN}', "NaN is no JSON"),
        (b'{"a":1e400}', "a number beyond float64 (1e400…)"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\\ud83d"}', "half of a surrogate pair"),
        (changed(category="y" * 51), "category has 51 characters, the column holds 50"),
        (changed(product_id="y" * 45, user_id=None), "user_id has 51 characters"),
        (changed(price=1e39), "price 1e+39 is beyond a FLOAT"),
        (changed(timestamp="2039-01-01"), "timestamp is outside 1970 to 2038-01-19"),
        (changed(event_id=None), "no event_id"),
        (changed(product_id=None, user_id=None), "no user_id, and no product_id to fill from"),
    ],
)
def test_a_rejection_says_what_is_wrong(value, detail):
    transformed = transform(value)
    assert isinstance(transformed, Rejection)
    assert transformed.detail.startswith(detail)


def nested(depth, field):
    return b'{"event_id":"e","user_id":"u","category":"c","%s":%s}' % (
        field.encode(),
        b"[" * depth + b"]" * depth,
    )


def test_nesting_is_judged_alike_wherever_the_stack_is():
    async def inside(levels):
        return await inside(levels - 1) if levels else judge()

    def judge():
        accepted = not isinstance(transform(nested(999, "other")), Rejection)
        refused = isinstance(transform(nested(1000, "other")), Rejection)
        return accepted, refused

    limit = sys.getrecursionlimit()
    assert judge() == (True, True)
    assert asyncio.run(inside(150)) == (True, True)
    assert sys.getrecursionlimit() == limit


def float32(number):
    return ctypes.c_float(number).value


@given(numbers, st.integers(-(2**31), 2**31 - 1))
@example(3.40282350e38, 1)
@example(1.70141178e38, 2)
@example(1.1, 3)
def test_price_and_revenue_become_the_floats_that_spark_stores(price, quantity):
    transformed = transform(changed(price=price, quantity=quantity))
    spark = float32(price), float32(float32(price) * quantity)
    if isinstance(transformed, Rejection):
        assert not all(map(math.isfinite, spark)) or abs(float32(price) * quantity) > MAX_FLOAT
    else:
        *_, stored_price, _, stored_revenue, _ = transformed[0]
        assert (float32(stored_price), float32(stored_revenue)) == spark
        assert max(abs(stored_price), abs(stored_revenue)) <= MAX_FLOAT, "a FLOAT takes it"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda x: st.lists(x, max_size=3)))
@settings(max_examples=50)
def test_compact_text_says_the_same(value):
    assert json.loads(document.compact(value)) == value


@given(numbers)
def test_java_spelling_is_the_same_number(number):
    assert float(document.java_double(number)) == number
