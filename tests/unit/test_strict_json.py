"""Documents are read strictly, however deep; and what is refused is named."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import iterative_json
from models.nesting_depth import nesting, too_deep
from models.rules import Reason, Rejection, transform
from models.strict_json import MalformedError, Members, _decoder, _scan, compact, parse
from tests.contract import reference


def deep(depth, inside=b"", opening=b"[", closing=b"]"):
    return b'{"event_id":"e","user_id":"u","category":"c","x":%s}' % (
        opening * depth + inside + closing * depth
    )


#: Fragments of documents, put together at random: most of the time into no document.
_FRAGMENTS = [
    *(
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"a"',
        '"a":',
        '"',
        "\\",
        '\\"',
        " ",
        "\n",
        "\t",
        "1",
        "-2.5e1",
    ),
    *("0", "null", "true", "NaN", '{"a":', '{"a":1,', "[1,", "x", "é", "\ud800", "\\u0041"),
]
fragments = st.lists(st.sampled_from(_FRAGMENTS), max_size=30).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.text("\\\"u0041\x1f\x00/é😀", max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip
documents = st.one_of(
    fragments,
    values.map(json.dumps),
    values.map(lambda value: json.dumps(value, indent=1, ensure_ascii=False)),
    st.builds(lambda value, place, more: json.dumps(value)[:place] + more,
              values, st.integers(0, 50), fragments),
)  # fmt: skip


def answer(function, text):
    try:
        return repr(function(text))
    except json.JSONDecodeError as error:
        return error.msg, error.pos
    except MalformedError as error:
        return str(error)


@given(documents)
@example("")
@example("[[],{}]")
@example('{"a":[1,{"b":{}}],"a":2} x')
@example('{"a":1,}')
@settings(max_examples=400, deadline=None)
def test_both_parsers_agree(text):
    """The one for deep documents, and Python's."""
    ours = answer(lambda text: iterative_json.decode(text, _scan, Members), text)
    theirs = answer(_decoder.decode, text)
    if "Illegal trailing comma" in theirs[0]:  # the words of Python 3.13 and later
        assert isinstance(ours, tuple)
    else:
        assert ours == theirs


@given(documents)
@example('"[[[')
@example('"\\"[[["[[')
@example("]][[")
@settings(deadline=None)
def test_nesting_is_counted_outside_strings(text):
    assert nesting(text.encode(errors="surrogatepass")) == reference.nesting(text)


def test_nesting_is_counted_over_any_length():
    pieces = b'["[[[\\"",' * 990 + b'{"a":"]]]"},' * 5000 + b"[]" + b"]" * 990
    assert nesting(b" " * 100_000 + pieces + b'"' + b"[" * 100_000) == 991


@given(values)
@example(["\\\x1f", "\\\\u001f", "\\\\\x1f\x1e\\", "😀\x00é😀😀"])
def test_compact_matches_a_plain_implementation(value):
    members = reference.parse(json.dumps({"a": value}).encode())
    ours = parse(json.dumps({"a": value}).encode())
    assert compact(ours) == reference.compact(members)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1f", '"\\u001F"'),
        ("\\\x1f", '"\\\\\\u001F"'),
        ("\\u001f", '"\\\\u001f"'),
        ("\\\\\x1a\x1b", '"\\\\\\\\\\u001A\\u001B"'),
        ("a😀😀", '"a\\uD83D\\uDE00\\uD83D\\uDE00"'),
        ('"\n\x7fé', '"\\"\\n\x7fé"'),
    ],
)
def test_escapes_are_written_as_jackson_writes_them(text, expected):
    assert compact([text]) == f"[{expected}]"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[[],", b"]")])
@pytest.mark.parametrize("inside", [b"1", b'"[["', b"[]"])
@pytest.mark.parametrize("mistyped", [b"", b'"price":"x",'])
def test_maximum_nesting_is_jacksons(opening, closing, inside, mistyped):
    more = inside == b"[]" or b"[]" in opening
    deepest, deeper = (
        transform(deep(depth - more, inside, opening, closing).replace(b"{", b"{" + mistyped, 1))
        for depth in (999, 1000)
    )
    assert not isinstance(deepest, Rejection), deepest
    assert deeper == Rejection(Reason.MALFORMED, "nested more than 1000 deep")


def test_a_deep_document_in_a_text_field_is_kept():
    value = b'{"event_id":' + b"[" * 999 + b"]" * 999 + b"}"
    assert parse(value)[0][0] == "event_id"
    assert compact(parse(value)[0][1]) == "[" * 999 + "]" * 999


def test_many_brackets_are_not_deep():
    assert not too_deep(b"[" + b"[1,2]," * 5000 + b"0]")
    assert not isinstance(transform(deep(1, b"[1,2]," * 5000 + b"0")), Rejection)


def test_threads_read_deep_documents_without_changing_the_limit(monkeypatch):
    def refused(limit):
        raise AssertionError(f"the whole process's limit set to {limit}")

    def read(depth):
        return isinstance(transform(deep(depth).replace(b"{", b'{"price":"x",', 1)), Rejection)

    monkeypatch.setattr(sys, "setrecursionlimit", refused)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, [150, 999, 1000, 500] * 25))
    assert found == [False, False, True, False] * 25


@pytest.mark.parametrize(
    ("after", "schema"),
    [
        pytest.param(b'\x00\x00\x00\x2a{"event_id":"e"}', 42, id="JSON Schema"),
        pytest.param(b"\x00\x01\x00\x07\x02e\x04\xf6\x01", 65543, id="Avro"),
        pytest.param(b"\x00\x00\x00\x03\x00\x0a\x01e", 3, id="Protobuf, first message"),
        pytest.param(b"\x00\x00\x00\x03\x04\x02\x00\x0a\x02\xff\xfe", 3, id="Protobuf, indexes"),
        pytest.param(b"\xff\xff\xff\xff", 2**32 - 1, id="no value"),
        pytest.param(b"\x00\x00\x00\x01" + b"\xff" * 5000, 1, id="long"),
    ],
)
def test_schema_registrys_wire_format_is_named(after, schema):
    assert transform(b"\x00" + after) == Rejection(
        Reason.MALFORMED,
        "looks like Schema Registry's wire format "
        f"(magic byte 0, schema id {schema}): send plain JSON",
    )


@pytest.mark.parametrize("value", [b"\x00", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x2a{}"])
def test_other_bytes_keep_their_message(value):
    found = repr(chr(value[0]))
    assert transform(value) == Rejection(Reason.MALFORMED, f"not JSON: {found} at character 0")


@given(st.binary(max_size=30).map(lambda after: b"\x00" + after) | st.binary(max_size=30))
def test_details_are_printable(value):
    transformed = transform(value)
    if isinstance(transformed, Rejection):
        assert transformed.detail.isprintable()
