"""What a producer's owner reads of a value that is no JSON object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules import Reason, Rejection, transform

_WHOLE = b'{"event_id": "e1", "price": 12.5, "tags": ["\xc3\xa9", true, null], "more": {"a": -1e3}}'


def said_of(value):
    found = transform(value)
    assert isinstance(found, Rejection)
    assert found.reason is Reason.MALFORMED
    return found.detail


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "empty: a value of 0 bytes"),
        (b" \n", "nothing but blanks"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark (BOM): send UTF-8 without it"),
        ('{"a": 1}'.encode("utf-16"), "begins with UTF-16's byte order mark: send UTF-8"),
        (b"\x1f\x8b\x08\0\0", "looks compressed with gzip: let the Kafka client compress"),
        (b"{'a': 1}", "single quotes instead of double ones at character 1"),
        (b"{\"a\": 'x'}", "single quotes instead of double ones at character 6"),
        (b"{a: 1}", "the name a without double quotes at character 1"),
        (b'{"a": b}', "the value b without double quotes at character 6"),
        (b'{"a": None}', "None instead of null at character 6"),
        (b'{"a": True}', "True instead of true at character 6"),
        (b'{"a": }', "'}' instead of a name or a value at character 6"),
        (b'{"a": 1 "b": 2}', "a comma is missing at character 8"),
        (b'{"a": [1}', "the wrong closing bracket at character 8"),
        (b'{"a" 1}', "a colon is missing at character 5"),
        (b'{"a": 01}', "a number that begins with 0 at character 7"),
        (b'{"a": 1} // note', "extra data after the JSON at character 9"),
        (b'{"a": 1 /* note */}', "a comment, which JSON does not have, at character 8"),
        (b'{"a": 1}\n{"a": 2}', "extra data after the JSON at character 9: send one object"),
        (b'{"a": "x\ny"}', "a control character in a string at character 8: escape it"),
        (b'{"a": "\\x"}', "an invalid escape at character 7"),
        (b'{"a": "it"s"}', "a quote in a string is not escaped, at character 10"),
        (b"[]", "a JSON array, not an object: send one object per message"),
        (b"1", "a JSON number, not an object"),
        (b"true", "a JSON boolean, not an object"),
        (b"null", "a JSON null, not an object"),
        (b'"{\\"a\\": 1}"', "an object within a JSON string: it was encoded twice"),
        (b"hello", "not JSON: 'hello' at character 0"),
        (b"<a/>", "not JSON: '<' at character 0"),
    ],
)
def test_producers_mistakes_are_named(value, said):
    assert said in said_of(value)


@pytest.mark.parametrize("value", [b'{"a": 1,}', b'{"a": [1, 2, ]}', b'{"a": 1,\n}'])
def test_trailing_comma_is_named(value):
    # Where exactly depends on the Python version: at the comma, or at the bracket.
    assert said_of(value).startswith("a comma before the closing bracket at character ")


@pytest.mark.parametrize("length", range(1, len(_WHOLE)))
def test_value_cut_off_anywhere_is_recognised(length):
    assert said_of(_WHOLE[:length]).startswith("cut off ")


@given(st.binary(max_size=60) | st.text(alphabet="{}[]\"',:\\ue1.0tfn-/* \n", max_size=30))
def test_any_bytes_get_a_printable_sentence(value):
    found = transform(value if isinstance(value, bytes) else value.encode())
    if isinstance(found, Rejection):
        assert found.detail.isprintable()
        assert "at at" not in found.detail
        assert len(found.detail) < 200
