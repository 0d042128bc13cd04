"""Rows by compiled code are those of the rules, or none; and the usual events have one."""

import base64
import json
import re
import shutil
import sys
import sysconfig
from array import array
from calendar import monthrange
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from commands.traffic.simulator import events
from models import whole_events
from models.fields import EVENT_FIELDS, ROW_FIELDS
from models.quality import BITS, Kind
from models.rules import transform
from models.whole_events import compiled, whole_rows
from pipeline.batch import Batch
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from source.records import packing
from tests.contract.compiled import assert_chunks_alike, assert_compiled_alike, each_row
from tests.contract.test_cases import load
from tests.contract.whole_values import (
    INSTEAD,
    MOMENTS,
    NUMBERS,
    TEXTS,
    UNKNOWN,
    WHOLE,
    documents,
    moments,
    numbers,
    spelled,
    whole,
)

ALONE = "Python alone, at two thirds of the rate: the compiled module "
HEADERS = Path(sysconfig.get_path("include"), "Python.h")


@pytest.fixture(scope="module")
def rows():
    """The module's function, where it was built."""
    if whole_rows is None:
        pytest.skip("the compiled module was not built, because no compiler is here")
    return whole_rows


def simulated(number):
    """Events of the simulator that need nothing done."""
    for event in islice(events(seed=7, bad=0.0, clock=lambda: 1_795_000_000.5), number):
        transformed = transform(event.value)
        if isinstance(transformed, tuple) and not transformed[1] and None not in transformed[0]:
            yield event.value


def odd(number):
    """Events of the simulator, as it breaks them."""
    return [event.value for event in islice(events(seed=7, clock=lambda: 1_795_000_000.5), number)]


def test_both_modules_are_built_wherever_they_can_be():
    if shutil.which("cc") and HEADERS.exists():
        assert whole_rows is not None, "run `make setup`"
        assert packing.is_packing(), "run `make setup`"


def test_an_old_build_counts_as_none(rows, monkeypatch):
    assert compiled().words == "the compiled module"
    monkeypatch.setattr(whole_events, "_REVISION", 0)
    words = ALONE + "was built for another version of the app"
    assert compiled() == (None, words)


def test_without_a_build_there_is_none(monkeypatch):
    monkeypatch.delattr("models._whole_events", raising=False)
    monkeypatch.setitem(sys.modules, "models._whole_events", None)
    assert compiled() == (
        None,
        ALONE + "was not built",
    )


def test_the_usual_events_are_taken(rows):
    usual = list(simulated(5000))
    assert len(usual) > 2000
    assert sum(assert_compiled_alike(rows, value) for value in usual) >= 0.95 * len(usual)


@pytest.mark.parametrize(
    "value",
    [
        whole(product_id="null", event_type="null", timestamp="null"),
        spelled([pair for pair in WHOLE.items() if pair[0] not in ("product_id", "timestamp")]),
        spelled(reversed(WHOLE.items()), between=" \t\r\n"),
        whole(event_id='""', category='"Jouets d’été 😀"', user_id=f'"{"漢" * 50}"'),
        whole(price="0", quantity="0"),
        whole(price="-0.10", quantity="-3"),
        whole(price="99999999999999.9", quantity="1"),
        whole(price="123456789012345", quantity="7"),
        whole(timestamp='"2026-11-27 10:15:30.1234567890"'),
        whole(timestamp='"1971-01-01T00:00:00+17:59"'),
        whole(timestamp='"2037-12-31T23:59:59-17:59"'),
        whole(timestamp='"2028-02-29T00:30:00.Z"'),
    ],
)
def test_what_is_whole_is_taken(rows, value):
    assert assert_compiled_alike(rows, value)


def without(*names):
    return spelled(pair for pair in WHOLE.items() if pair[0] not in names)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (without("user_id"), {"user_id.filled"}),
        (without("category"), {"category.filled"}),
        (without("quantity"), {"quantity.filled"}),
        (without("price"), {"price.filled"}),
        (
            without("user_id", "category", "price", "quantity"),
            {"user_id.filled", "category.filled", "price.filled", "quantity.filled"},
        ),
        (whole(user_id="null", product_id=f'"{"漢" * 44}"'), {"user_id.filled"}),
        (whole(category="null", product_id='"😀"'), {"category.filled"}),
        (
            whole(category="null", user_id="null", product_id='""'),
            {"user_id.filled", "category.filled"},
        ),
        (whole(event_id="4711"), {"event_id.stringified"}),
        (whole(user_id="true"), {"user_id.stringified"}),
        (
            whole(user_id="null", product_id="-4711"),
            {"product_id.stringified", "user_id.filled"},
        ),
        (whole(price='"19.99"'), {"price.mistyped", "price.filled"}),
        (whole(price='{"amount": 19.99}'), {"price.mistyped", "price.filled"}),
        (whole(quantity="2.0"), {"quantity.mistyped", "quantity.filled"}),
        (whole(quantity='"2"'), {"quantity.mistyped", "quantity.filled"}),
        (whole(timestamp="1795774530123"), {"timestamp.stringified", "timestamp.unparsable"}),
        (whole(timestamp='"yesterday"'), {"timestamp.unparsable"}),
        (whole(timestamp='""'), {"timestamp.unparsable"}),
    ],
)
def test_what_is_filled_or_repaired_is_taken(rows, value, flags):
    assert assert_compiled_alike(rows, value)
    [bits] = rows([value])[2]
    assert bits == sum(BITS[field, Kind(kind)] for field, kind in (one.split(".") for one in flags))


@pytest.mark.parametrize("more", [{}, {"product_id": "null"}, {"price": '"x"', "quantity": "-2"}])
@pytest.mark.parametrize("name", WHOLE)
def test_any_value_in_place_of_another(rows, name, more):
    values = [whole(**{**more, name: text}) for text in INSTEAD]
    for value in values:
        assert_compiled_alike(rows, value)
    assert_chunks_alike(values)


@pytest.mark.parametrize("character", ["x", "é", "漢", "😀"])
def test_a_filled_text_that_fits_and_one_that_does_not(rows, character):
    for size in range(51):
        value = whole(user_id="null", category="null", product_id=f'"{character * size}"')
        assert assert_compiled_alike(rows, value) == (size <= 44)


@given(st.sets(st.sampled_from([*WHOLE])), st.text(max_size=50))
@settings(max_examples=1000, deadline=None)
def test_any_fields_missing(rows, names, product):
    kept = {**WHOLE, "product_id": json.dumps(product, ensure_ascii=False)}
    assert_compiled_alike(rows, spelled((name, kept[name]) for name in kept if name not in names))


def test_filled_and_repaired_are_counted_alike(rows):
    records = [PlainRecord(place, value) for place, value in enumerate(odd(5000))]
    one, other = (
        Batch.of(stream, 1, datetime.now(UTC), [chunk], 0.1)
        for stream in (FLASH_SALES, replace(FLASH_SALES, whole_rows=None))
        for chunk in [Chunk.transform(stream, Partition("t", 0), 0, 5000, records)]
    )
    assert {*one.filled} == {"user_id", "category", "price", "quantity"}
    assert (one.filled, one.repaired) == (other.filled, other.repaired)
    assert {"price.mistyped", "user_id.stringified", "timestamp.unparsable"} <= {*one.repaired}


def test_most_odd_events_are_taken(rows):
    answers = [(value, transform(value)) for value in odd(5000)]
    repaired = [value for value, found in answers if isinstance(found, tuple) and found[1]]
    assert len(repaired) > 800
    assert sum(assert_compiled_alike(rows, value) for value in repaired) >= 0.95 * len(repaired)


def test_every_case_of_the_contract(rows):
    values = [base64.b64decode(case["value_b64"] or b"") for case in load()]
    values += [case["value"].encode() for case in load("stored_cases.jsonl")]
    assert sum(assert_compiled_alike(rows, value) for value in values) > 20


def test_numbers_at_every_limit(rows):
    taken = 0
    for price in NUMBERS:
        for quantity in NUMBERS:
            taken += assert_compiled_alike(rows, whole(price=price, quantity=quantity))
    assert taken > 200


def test_moments_at_every_limit(rows):
    taken = sum(assert_compiled_alike(rows, whole(timestamp=f'"{text}"')) for text in MOMENTS)
    assert taken > 200


def test_every_day_and_what_a_zone_makes_of_its_ends(rows):
    for month in range(1, 13):
        for day in range(1, 33):
            for year in (2027, 2028):
                taken = {
                    assert_compiled_alike(
                        rows, whole(timestamp=f'"{year}-{month:02}-{day:02}{time}"')
                    )
                    for time in ("T12:00:00", "T00:30:00+00:45", "T23:30:00-00:45")
                }
                assert taken == {day <= monthrange(year, month)[1]}


@pytest.mark.parametrize("name", [name for name, text in WHOLE.items() if text[0] == '"'])
def test_texts_at_every_limit(rows, name):
    taken = sum(assert_compiled_alike(rows, whole(**{name: f'"{text}"'})) for text in TEXTS)
    assert taken > 5 or name == "timestamp"


@pytest.mark.parametrize("value", UNKNOWN)
def test_fields_that_nobody_knows(rows, value):
    pairs = list(WHOLE.items())
    for place in (0, 4, len(pairs)):
        for between in ("", "\n "):
            found = spelled([*pairs[:place], ("other", value), *pairs[place:]], between)
            assert_compiled_alike(rows, found)


@pytest.mark.parametrize(
    "value",
    [
        *('"x"', '""', '"é 😀"', '"https:\\/\\/a.example\\n"', '"caf\\u00E9"', "12.5", "-3", "0"),
        *("1766661330123", "48.85661400000001", "0.1234567890123456789", "true", "false", "null"),
        *(
            "[]",
            "{}",
            '[1, "a", null, [true]]',
            '{"geo": {"lat": 48.85, "lon": 2.35}, "tags": ["a"]}',
        ),
        f'"{"x" * 100_000}"',
    ],
)
def test_events_with_more_fields_are_taken(rows, value):
    added = {f"more_{number}": value for number in range(20)}
    assert assert_compiled_alike(rows, spelled({**added, **WHOLE, "other": value}.items()))
    assert rows([spelled({**added, **WHOLE}.items())]) == rows([whole()])


@pytest.mark.parametrize("name", ["other", "event_id2", "event_i", "", "é", "x" * 500, "x" * 501])
def test_names_that_nobody_knows(rows, name):
    taken = assert_compiled_alike(rows, spelled([(name, "1"), *WHOLE.items(), (name, "[]")]))
    # An escape may spell the name of a field that is known.
    assert taken == (len(name) <= 500 and name.isascii())


@pytest.mark.parametrize("value", [whole(), spelled(WHOLE.items(), between=" "), b"{}"])
def test_values_that_end_early_or_go_on(rows, value):
    for end in range(len(value)):
        assert_compiled_alike(rows, value[:end])
        for more in (b"\x00", b'"', b"-", b"n", b"}", b","):
            assert_compiled_alike(rows, value[:end] + more)
            assert_compiled_alike(rows, value[:end] + more + value[end:])
            assert_compiled_alike(rows, value[:end] + more + value[end + 1 :])
    for more in (b"\x00", b" ", b"\n", b"x", b"{}", b"\xef\xbb\xbf"):
        assert_compiled_alike(rows, value + more)
        assert_compiled_alike(rows, more + value)


@pytest.mark.parametrize("size", range(990, 1012))
@pytest.mark.parametrize("text", ["z", "é", "😀"])
def test_values_of_any_length(rows, size, text):
    found = whole(timestamp='"2026-11-27T10:15:30.%s"')
    for pattern in (found, whole(event_id='"%s"'), b"%s" + whole(), whole() + b"%s"):
        room = size - len(pattern) + 2
        for filling in (b"0" * room, b" " * room, text.encode() * (room // len(text.encode()))):
            assert_compiled_alike(rows, pattern % filling)


@given(documents)
@settings(max_examples=2000, deadline=None)
def test_any_event(rows, value):
    assert_compiled_alike(rows, value)


@given(numbers, numbers)
@example("0.1", "3")
@settings(max_examples=2000, deadline=None)
def test_any_price_and_quantity(rows, price, quantity):
    assert_compiled_alike(rows, whole(price=price, quantity=quantity))


@given(st.integers(0, 10**15 - 1), st.integers(0, 14), st.integers(-99_999_999, 999_999_999))
@settings(max_examples=3000, deadline=None)
def test_any_decimal(rows, number, places, quantity):
    text = f"{number:0{places + 1}}"
    price = f"{text[: len(text) - places]}.{text[len(text) - places :]}".rstrip(".")
    assert_compiled_alike(rows, whole(price=price, quantity=str(quantity)))


@given(moments)
@settings(max_examples=2000, deadline=None)
def test_any_moment(rows, moment):
    assert_compiled_alike(rows, whole(timestamp=moment))


@given(st.binary(max_size=60), documents, st.integers(0, 300))
@settings(max_examples=500, deadline=None)
def test_any_bytes(rows, found, value, place):
    assert_compiled_alike(rows, found)
    assert_compiled_alike(rows, value[:place] + found[:2] + value[place + 1 :])


def test_what_is_no_bytes_has_no_row(rows):
    class Value(bytes):
        pass

    assert rows([None, Value(whole())]) == ([b"", b"", b""], [0, 1], array("Q", [0, 0]), 0.0)
    assert rows([]) == ([b""], [], array("Q"), 0.0)
    with pytest.raises(AttributeError):
        rows(None)


def test_a_chunk_is_the_same_with_and_without(rows):
    values = [base64.b64decode(case["value_b64"] or b"") for case in load()]
    usual = list(simulated(1000))
    for mixed in (values, usual, [], [None], [*values, *usual, None], [*odd(2000), *values]):
        assert_chunks_alike(mixed)


def test_a_field_that_is_passed_through_needs_no_other_module(rows):
    text, number = (
        next(field for field in EVENT_FIELDS if field.name == name)
        for name in ("product_id", "quantity")
    )
    added = [
        text._replace(name="coupon", max_length=3),
        number._replace(name="visit", nullable=True, filled=""),
        text._replace(name="note", max_length=None),
    ]
    made, _ = compiled([*added, *EVENT_FIELDS], [*ROW_FIELDS, *added])
    assert made is not None
    before = rows([whole()])[0][0]
    for given_, stored in (
        ({"coupon": '"€UR"', "visit": "-5", "note": '""'}, b',"\xe2\x82\xacUR",-5,""]'),
        ({"visit": "null"}, b",null,null,null]"),
    ):
        expected = before[:-1] + stored
        assert each_row(made, [spelled({**WHOLE, **given_}.items())]) == [expected]
    for wrong in ({"coupon": '"EURO"'}, {"visit": "1.0"}, {"visit": '"1"'}, {"note": "1"}):
        assert each_row(made, [spelled({**WHOLE, **wrong}.items())]) == [None]


TEXT = ROW_FIELDS[2]
#: Fields that the compiled module has room for, beside today's.
ROOM = 32 - len(ROW_FIELDS)
ADDED = {
    "none": ([], "the compiled module"),
    "float": (
        [TEXT._replace(name="weight", kind=float, max_length=None)],
        "the compiled module, but by Python those of events with weight (float)",
    ),
    "float and time": (
        [
            TEXT._replace(name="weight", kind=float, max_length=None),
            TEXT._replace(name="seen", kind=datetime, max_length=None),
        ],
        "the compiled module, but by Python those of events with weight (float) or seen (datetime)",
    ),
    "all that fit": (
        [TEXT._replace(name=f"more_{number}", max_length=1) for number in range(ROOM)],
        "the compiled module",
    ),
    "one more": (
        [TEXT._replace(name=f"more_{number}", max_length=1) for number in range(ROOM + 1)],
        ALONE + "has room for 32 fields, not for 33",
    ),
    "a long text": (
        [TEXT._replace(name="note", max_length=5_000)],
        ALONE + "has room for rows of 16,000 bytes, not of N: the "
        "longest field, note, has 5,000 characters",
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_who_makes_which_rows_is_said(rows, name):
    added, words = ADDED[name]
    made, said = compiled([*EVENT_FIELDS, *added], [*ROW_FIELDS, *added])
    # A row's size depends on today's fields, too.
    assert re.sub(r"not of [\d,]+", "not of N", said) == words, (
        "run `make setup` if the compiled module was changed"
    )
    sent = {field.name: 5.5 if field.kind is float else "x" for field in added}
    events = [json.loads(value) for value in simulated(1_000)]
    taken = _taken(rows, events)
    assert taken > 300
    assert _taken(made, events) == (taken if made else 0)
    with_more = [one | sent for one in events]
    assert _taken(made, with_more) == (taken if said == ADDED["none"][1] else 0)


def _taken(made, events):
    """For how many of the events it makes a row."""
    values = [json.dumps(one, ensure_ascii=False).encode() for one in events]
    return len(events) - len(made(values)[1]) if made else 0


def test_computed_field_leaves_all_rows_to_the_rules(rows):
    added = TEXT._replace(name="discount", kind=float, max_length=None)
    words = ALONE + "does not compute discount"
    assert compiled(EVENT_FIELDS, [*ROW_FIELDS, added]) == (None, words)


@pytest.mark.parametrize("kind", [float, datetime])
def test_a_field_of_another_kind_is_left_to_the_rules(rows, kind):
    added = TEXT._replace(name="weight", kind=kind, max_length=None)
    made, _ = compiled([*EVENT_FIELDS, added], [*ROW_FIELDS, added])
    assert made is not None
    values = [spelled({**WHOLE, "weight": text}.items()) for text in ("5", "5.5", '"5"')]
    assert each_row(made, [*values]) == [None] * 3
    row = rows([whole()])[0][0]
    assert each_row(made, [whole()]) == [row[:-1] + b",null]"]


def test_a_field_that_another_rule_fills_is_left_to_it(rows):
    added = ROW_FIELDS[2]._replace(name="shop", nullable=True, filled="the shop of the product")
    made, _ = compiled([*EVENT_FIELDS, added], [*ROW_FIELDS, added])
    assert made is not None
    row = rows([whole()])[0][0]
    assert each_row(made, [whole(), whole(shop='"s"')]) == [None, row[:-1] + b',"s"]']


def test_fields_that_must_be_there_are_asked_for(rows):
    added = ROW_FIELDS[2]._replace(name="shop", nullable=False)
    made, _ = compiled([*EVENT_FIELDS, added], [*ROW_FIELDS, added])
    assert made is not None
    row = rows([whole()])[0][0]
    values = [whole(), whole(shop="null"), whole(shop='"s"')]
    assert each_row(made, values) == [None, None, row[:-1] + b',"s"]']
