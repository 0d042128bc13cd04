"""Any bytes become a row or a rejection, never both, never an exception; and rows fit the table."""

import asyncio
import base64
import ctypes
import json
import math
import sys
from datetime import datetime

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql

from db.schema.sales_tables import flash_sale_events
from models import decode
from models import strict_json as document
from models.fields import EVENT_FIELDS, ROW_NAMES
from models.rules import MAX_FLOAT, Reason, Rejection, transform
from tests.contract.storable import assert_storable
from tests.contract.test_cases import load
from tests.helpers.transformed import changed, row

VALUES = [base64.b64decode(case["value_b64"] or b"") for case in load("cases.jsonl")]


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
        **{field.name: anything | st.text(max_size=60) for field in EVENT_FIELDS},
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


RIGHT = {
    float: numbers,
    int: st.integers(-(2**31), 2**31 - 1),
    str: st.text(max_size=60),
    datetime: moments,
}


@given(
    st.fixed_dictionaries(
        {}, optional={field.name: st.none() | RIGHT[field.kind] for field in EVENT_FIELDS}
    )
)
def test_both_ways_of_decoding_agree(fields):
    value = json.dumps(fields).encode()
    try:
        strict = msgspec.structs.asdict(decode._strictly(value))
    except ValueError:
        return  # half a surrogate pair: malformed either way; or a text too long to be a row's
    lenient, flags, _ = decode._leniently(value)
    assert msgspec.structs.asdict(lenient) == strict
    assert flags == 0


#: Names and types of the table that reports read: they are kept, whatever is added.
KEPT = {
    "event_id": "VARCHAR(50)",
    "user_id": "VARCHAR(50)",
    "product_id": "VARCHAR(50)",
    "category": "VARCHAR(50)",
    "event_type": "VARCHAR(20)",
    "price": "FLOAT",
    "quantity": "INTEGER",
    "revenue": "FLOAT",
    "ts": "TIMESTAMP",
}


def test_columns_match_the_replaced_job():
    columns = flash_sale_events.columns
    assert {name: str(columns[name].type.compile(mysql.dialect())) for name in KEPT} == KEPT


def test_every_declared_field_is_a_column():
    assert [column.name for column in flash_sale_events.columns] == ["id", *ROW_NAMES]
    assert {field.name for field in EVENT_FIELDS} - set(ROW_NAMES) == {"timestamp"}


PASSED_THROUGH = [
    pytest.param(field, id=field.name)
    for field in EVENT_FIELDS
    if field.name in ROW_NAMES and not field.filled
]


@pytest.mark.parametrize("field", PASSED_THROUGH)
def test_a_field_without_a_rule_is_passed_through(field):
    sent = "é" * field.max_length if field.kind is str else 7
    stored, flags = row(changed(**{field.name: sent}))
    assert (stored[field.name], flags) == (sent, set())
    if field.nullable:
        assert row(changed(**{field.name: None}))[0][field.name] is None


@pytest.mark.parametrize("field", PASSED_THROUGH)
def test_value_beyond_its_column_is_named(field):
    if field.kind is str:
        limit = field.max_length
        assert transform(changed(**{field.name: "é" * (limit + 1)})) == Rejection(
            Reason.UNSTORABLE,
            f"{field.name} has {limit + 1} characters, the column holds {limit}",
        )
        kept, flags = row(changed(**{field.name: 5}))
        assert (kept[field.name], flags) == ("5", {f"{field.name}.stringified"})
    else:
        kept, flags = row(changed(**{field.name: "x"}))
        assert (kept[field.name], flags) == (None, {f"{field.name}.mistyped"})


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "no value (a tombstone)"),
        (b"", "empty: a value of 0 bytes"),
        (b"[]", "a JSON array, not an object: send one object per message"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":1e400}', "a number beyond float64 (1e400…)"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\\ud83d"}', "half of a surrogate pair"),
        (changed(category="y" * 51), "category has 51 characters, the column holds 50"),
        (
            changed(product_id="y" * 45, user_id=None),
            "user_id has 51 characters, the column holds 50",
        ),
        (changed(price=1e39), "price 1e+39 is beyond a FLOAT"),
        (changed(price="-Infinity"), "price -inf is beyond a FLOAT"),
        (changed(price="-INF"), "price -inf is beyond a FLOAT"),
        (changed(timestamp="2039-01-01"), "timestamp is outside 1970 to 2038-01-19"),
        (changed(event_id=None), "no event_id"),
        (changed(product_id=None, user_id=None), "no user_id, and no product_id to fill from"),
    ],
)
def test_rejections_say_what_is_wrong(value, detail):
    transformed = transform(value)
    assert isinstance(transformed, Rejection)
    assert transformed.detail == detail


def nested(depth, field):
    return b'{"event_id":"e","user_id":"u","category":"c","%s":%s}' % (
        field.encode(),
        b"[" * depth + b"]" * depth,
    )


def test_nesting_limit_does_not_depend_on_the_stack():
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
@example(1.1, 2**24 + 1)
def test_price_and_revenue_match_sparks_floats(price, quantity):
    transformed = transform(changed(price=price, quantity=quantity))
    spark = float32(price), float32(float32(price) * float32(quantity))
    if isinstance(transformed, Rejection):
        assert not all(map(math.isfinite, spark)) or abs(float32(price) * quantity) > MAX_FLOAT
    else:
        stored_price, stored_revenue = (
            transformed[0][ROW_NAMES.index(name)] for name in ("price", "revenue")
        )
        assert (float32(stored_price), float32(stored_revenue)) == spark
        assert max(abs(stored_price), abs(stored_revenue)) <= MAX_FLOAT, "a FLOAT takes it"


@pytest.mark.parametrize("price", [3.4028235677973366e38, -3.4028235677973366e38])
def test_largest_float_is_rounded_as_in_spark(price):
    stored, _ = row(changed(price=price, quantity=1))
    assert stored["price"] == stored["revenue"] == math.copysign(MAX_FLOAT, price)
    assert isinstance(transform(changed(price=math.nextafter(price, math.copysign(1e39, price)))),
                      Rejection)  # fmt: skip


@pytest.mark.parametrize(("price", "quantity"), [(-0.0, 2), (0.0, -2), (-1e-46, 3), (-1.5, 0)])
def test_zero_has_no_sign(price, quantity):
    stored, _ = row(changed(price=price, quantity=quantity))
    assert str(stored["revenue"]) == "0.0"
    assert str(stored["price"]) in ("0.0", "-1.5")


@pytest.mark.parametrize("field", ["event_id", "user_id", "product_id", "category"])
def test_excess_blanks_are_cut_as_servers_do(field):
    for text in ("x" * 50 + " \t\n\v\f\r" * 30, "😀" * 49 + "   ", " " * 60):
        assert row(changed(**{field: text}))[0][field] == text[:50]
    for odd in ("x", " x", "\u00a0", "\u3000", "\0", "\x1c"):
        assert isinstance(transform(changed(**{field: "x" * 50 + odd})), Rejection)


def test_a_filled_text_is_cut_too():
    stored, _ = row(changed(user_id=None, product_id="p" * 44 + " " * 6))
    assert (stored["user_id"], stored["product_id"]) == ("guest_" + "p" * 44, "p" * 44 + " " * 6)


def test_false_is_not_a_number():
    """Though Python takes it for 0."""
    stored, _ = row(changed(price=False, quantity=False))
    assert (stored["price"], stored["quantity"]) == (0.0, 1)


def test_numbers_keep_the_digits_they_came_with():
    """Those of the FLOAT that they become would be longer, and cost the server more time."""
    stored, _ = row(changed(price=19.99, quantity=3))
    assert (stored["price"], stored["revenue"]) == (19.99, 19.99 * 3)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda x: st.lists(x, max_size=3)))
@settings(max_examples=50)
def test_compact_text_has_the_same_value(value):
    assert json.loads(document.compact(value)) == value


@given(numbers)
@example(5e-324)
@example(-5e-324)
def test_java_spelling_is_the_same_number(number):
    assert float(document.java_double(number)) == number
