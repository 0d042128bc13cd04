"""However a document is decoded, the answer is that of the plainest decoder."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import decode as module
from tests.contract import reference
from tests.contract.reference import assert_same_answer

EVENT = (
    b'"event_id":"e","user_id":"u","product_id":"p","category":"c","event_type":"view",'
    b'"price":1.5,"quantity":2,"timestamp":"2026-11-27T10:15:30Z"'
)

#: What a skipped value may hide.
HOSTILE: list[bytes] = [
    *(b'"\xff"', b'"a\xc3"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"'),
    *(b'"\\ud800"', b'"\\udc00"', b'"\\ud83d\\ude00"', b'"\\ud83d\\u0041"', b'"\\ud83dx"'),
    *(b"1e999", b"-1e+999", b"1E308", b"1e309", b"1e-999", b"0e999", b"0.0001e312", b"1e0000001"),
    *(b"9" * 308, b"9" * 309, b"9" * 400, b"1" * 205 + b"e99", b"9" * 300 + b".5e9", b"1.e999"),
    *(b"0." + b"0" * 330 + b"1e335", b"1" * 999, b"1" * 1000, b"1" * 1001, b"-" + b"1" * 1000),
    *(b"0." + b"1" * 998, b"0." + b"1" * 999, b"1" * 4301, b"1e" + b"0" * 998 + b"1"),
    *(b"01", b"1.", b".5", b"-", b"+1", b"1e", b"1e+", b"0x1", b"1_0", b"NaN", b"-Infinity"),
    *(
        b'"\x01"',
        b'"\t"',
        b'"\x7f"',
        b'"\\x"',
        b'"\\u12g4"',
        b'"\\',
        b'"',
        b"'a'",
        b"tru",
        b"nulll",
    ),
    *(b"[1,]", b'{"b":1,}', b'{"b":1,"b":2}', b'{"\xff":1}', b"{1:2}", b"[", b"]", b"", b"1 2"),
    *(b"[" * 300 + b"]" * 300, b"[" * 999 + b"]" * 999, b"[" * 1000 + b"]" * 1000),
    *(b'{"a":' * 999 + b"1" + b"}" * 999, b'{"a":' * 1000 + b"1" + b"}" * 1000),
    *(b"[[]," * 1500 + b"1" + b"]" * 1500, b"[" + b"[]," * 1500 + b"1]", b'"' + b"[" * 1500 + b'"'),
    *(
        b'"3f4e1234-77e1-4e05-8e11-0123456789ab"',
        b'"' + b"0" * 1500 + b'"',
        b'" 1e999"',
        b'",-9e999"',
    ),
    *(
        '"é漢😀"'.encode(),
        b'"' + b"x" * 1500 + b'"',
        b'"' + "é".encode() * 70_000 + b'"',
        b'"\\\\\\""',
    ),
]

#: Members that the schema knows, right and wrong, once more.
AGAIN: list[bytes] = [
    *(b'"price":2', b'"price":"x"', b'"price":"NaN"', b'"price":1e999', b'"price":-0'),
    *(b'"price":' + b"1" * 1001, b'"price":0.' + b"3" * 990, b'"price":123456789.123456789e-300'),
    *(b'"price":true', b'"quantity":-2147483648', b'"quantity":-9223372036854775809'),
    *(b'"price":1e22', b'"quantity":3', b'"quantity":2147483648', b'"quantity":2.0' ),
    *(b'"quantity":' + b"9" * 4400, b'"quantity":-0', b'"quantity":null', b'"quantity":false'),
    b'"quantity":2147483648,"quantity":3',
    *(b'"event_id":5', b'"event_id":[1,{"a":"\\u001f"}]', b'"event_id":"\xff"', b'"user_id":null'),
    *(b'"event_id":"' + b"y" * 1200 + b'"', b'"\\u0065vent_id":"z"', b'"timestamp":{"a":[]}'),
]  # fmt: skip

blanks = st.sampled_from([b"", b"", b" ", b"\t\r\n ", b" " * 1100])
names = st.sampled_from([b'"x"', b'"x"', b'"other"', b'"\xff"', b'"\\ud800"', b'"\\u0078"', b'""'])
hostile = st.sampled_from(HOSTILE)
harmless = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))
inside = st.one_of(
    hostile,
    harmless,
    hostile.map(lambda value: b"[1," + value + b"]"),
    hostile.map(lambda value: b'{"a":{"b":' + value + b"}}"),
)
unknown = st.builds(lambda a, name, b, value, c: a + name + b + b":" + value + c,
                    blanks, names, blanks, inside, blanks)  # fmt: skip
members = st.lists(st.one_of(unknown, unknown, st.sampled_from(AGAIN), st.just(EVENT)), max_size=5)
documents = st.builds(
    lambda before, found, after: before + b"{" + b",".join(found) + b"}" + after,
    blanks,
    members,
    st.sampled_from([b"", b"", b"", b" ", b"x", b"{}", b"\x00", b"\n" * 1100]),
)


@given(documents)
@settings(max_examples=600, deadline=None)
def test_unknown_fields_change_no_answer(value):
    assert_same_answer(value)


@pytest.mark.parametrize("filling", [0, 1200], ids=["short", "long"])
@pytest.mark.parametrize("again", [b"", *AGAIN])
def test_any_hostile_value_beside_any_known_member(again, filling):
    for value in HOSTILE:
        found = [EVENT, b'"x":' + value, again, b'"y":"' + b"f" * filling + b'"']
        assert_same_answer(b"{" + b",".join(member for member in found if member) + b"}")


@given(st.integers(0, 400), st.sampled_from("eE"), st.sampled_from(["", "+", "-"]),
       st.integers(0, 400), st.sampled_from(["{}", "-{}", "0.{}", "{}.5", "[{}]", " {} "]),
       st.integers(0, 1200))  # fmt: skip
@example(205, "e", "", 104, "{}", 0)
@settings(max_examples=300, deadline=None)
def test_numbers_are_judged_by_their_value(digits, letter, sign, exponent, form, filling):
    number = form.format("7" * digits + "0" + f"{letter}{sign}{exponent}" * (exponent > 0))
    assert_same_answer(b'{%s,"x":%s%s}' % (EVENT, number.encode(), b" " * filling))


@given(st.lists(st.sampled_from(HOSTILE), max_size=30))
@settings(max_examples=50, deadline=None)
def test_what_came_before_changes_no_answer(values):
    for value in values:
        assert_same_answer(b'{%s,"x":%s}' % (EVENT, value))
        assert_same_answer(b"{%s}" % EVENT)


def test_what_is_right_is_decoded_fast(monkeypatch):
    def slow(value):
        raise AssertionError(value[:50])

    monkeypatch.setattr(module, "_leniently", slow)
    for filling in (
        b'"' + b"text " * 4000 + b'"',
        '"é漢😀"'.encode(),
        b"[" + b"[1.5,2e10]," * 1200 + b"0]",
        b'"' + b"0" * 5000 + b'"',
        b'"' + b"[" * 5000 + b'"',
        b'"3f4e1234-77e1-4e05-8e11-0123456789ab"',
    ):
        for more in (b"", b',"x":%s' % filling, b',"x":%s,"y":"%s"' % (filling, b"f" * 1000)):
            event, flags, fits = module.decode(b"{%s%s}" % (EVENT, more))
            assert (event.event_id, flags, fits) == ("e", 0, True)


def test_the_reference_itself():
    event, flags = reference.decode(b"{%s}" % EVENT)
    assert (event.event_id, flags) == ("e", 0)
    with pytest.raises(ValueError, match="float64"):
        reference.decode(b'{%s,"x":1e999}' % EVENT)
    assert math.isnan(reference.decode(b'{"price":"NaN"}')[0].price)
