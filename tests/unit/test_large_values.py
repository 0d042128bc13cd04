"""Values of megabytes cost memory in proportion to their size, whatever is in them.

Bounds are multiples of the value's size. Time is bounded by the test's time limit only: what is
quadratic takes hours for a megabyte.
"""

import tracemalloc

import pytest

from models.rules import transform
from models.timestamps import _minute
from pipeline.printable import printable

EVENT = b'{"event_id":"e","user_id":"u","product_id":"p","category":"c","price":1,"quantity":1'
TIME = b"2026-11-27T10:15:30"


def unknown(value):
    return EVENT + b',"x":' + value + b"}"


def mistyped(value):
    """The price makes the event be decoded field by field."""
    return EVENT + b',"price":"1","x":' + value + b"}"


def kept_as_text(value):
    return EVENT + b',"event_id":' + value + b"}"


def string(inside):
    return b'"' + inside + b'"'


def timestamp(text):
    return EVENT + b',"timestamp":' + string(text) + b"}"


def fill(unit, size):
    return unit * (size // len(unit))


#: One string, number or blank of a megabyte. Text needs four bytes a character if one is an emoji,
#: and is there twice, in the document and as a string of its own.
ONE = {
    "string": lambda n: unknown(string(fill(b"a", n))),
    "string, mistyped": lambda n: mistyped(string(fill(b"a", n))),
    "escapes": lambda n: unknown(string(fill(b'\\"', n))),
    "escapes, mistyped": lambda n: mistyped(string(fill(b"\\n", n))),
    "unicode escapes, mistyped": lambda n: mistyped(string(fill(b"\\u00e9", n))),
    "escapes kept as text": lambda n: kept_as_text(b"[" + string(fill(b"\\u001f", n)) + b"]"),
    "backslashes kept as text": lambda n: kept_as_text(b"[" + string(fill(b"\\\\a", n)) + b"]"),
    "one emoji": lambda n: unknown(string("😀".encode() + fill(b"a", n))),
    "one emoji, mistyped": lambda n: mistyped(string("😀".encode() + fill(b"a", n))),
    "string without an end": lambda n: EVENT + b',"x":"' + fill(b"a", n),
    "escapes without an end": lambda n: EVENT + b',"x":"' + fill(b'\\"', n),
    "not UTF-8 at the end": lambda n: unknown(string(fill(b"a", n) + b"\xff")),
    "event_id": lambda n: kept_as_text(string(fill(b"a", n))),
    "timestamp: digits": lambda n: timestamp(fill(b"1", n)),
    "timestamp: fraction": lambda n: timestamp(TIME + b"." + fill(b"1", n)),
    "timestamp: fraction and more": lambda n: timestamp(TIME + b"." + fill(b"1", n) + b"x"),
    "timestamp: blanks": lambda n: timestamp(fill(b" ", n) + TIME + fill(b" ", n)),
    "timestamp: colons": lambda n: timestamp(fill(b":", n)),
    "timestamp: zone": lambda n: timestamp(TIME + b" " + fill(b"Europe/", n)),
    "timestamp: offset": lambda n: timestamp(TIME + b"+" + fill(b"1", n)),
    "timestamp: offsets": lambda n: timestamp(TIME + b" " + fill(b"+1:", n)),
    "price: digits": lambda n: EVENT + b',"price":' + fill(b"1", n) + b"}",
    "price: fraction": lambda n: EVENT + b',"price":1.' + fill(b"1", n) + b"}",
    "quantity: digits": lambda n: EVENT + b',"quantity":' + fill(b"1", n) + b"}",
    "digits": lambda n: unknown(fill(b"1", n)),
    "exponent": lambda n: unknown(b"1e-" + fill(b"1", n)),
    "deep": lambda n: unknown(fill(b"[", n) + fill(b"]", n)),
    "deep without an end": lambda n: fill(b'{"":', n),
    "many brackets": lambda n: unknown(b"[" + fill(b"[],", n) + b"1]"),
    "many strings": lambda n: unknown(b"[" + fill(b'"",', n) + b"1]"),
    "numbers of 99 digits": lambda n: unknown(b"[" + fill(b"1" * 99 + b",", n) + b"1]"),
    "whitespace": lambda n: fill(b" ", n) + EVENT + fill(b"\n", n) + b"}" + fill(b"\t", n),
    "whitespace, mistyped": lambda n: fill(b" ", n) + mistyped(b"1") + fill(b"\t", n),
    "quotes": lambda n: fill(b'"', n),
    "backslashes": lambda n: fill(b"\\", n),
    "zeros": lambda n: fill(b"\x00", n),
}

#: Many small values: Python needs 80 bytes for a list, which is two bytes of JSON and a comma.
MANY = {
    f"{many}, {where.__name__}": (where, begin, unit, end)
    for many, (begin, unit, end) in {
        "lists": (b"[", b"[],", b"1]"),
        "objects": (b"[", b"{},", b"1]"),
        "members": (b"{", b'"":1,', b'"a":1}'),
        "numbers": (b"[", b"1000,", b"1]"),
        "digits": (b"[", b"1,", b"1]"),
        "strings": (b"[", b'"ab",', b"1]"),
    }.items()
    for where in (unknown, mistyped, kept_as_text)
}


def peak(function, value):
    """Most memory at once, and what is kept, as multiples of the value's size."""
    function(value)  # what is made once only, is made
    tracemalloc.start()
    try:
        function(value)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most / len(value), kept / len(value)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in ONE.items()])
def test_one_large_thing(make):
    most, kept = peak(transform, make(1_000_000))
    assert most < 9
    assert kept < 0.01


@pytest.mark.parametrize("parts", [pytest.param(parts, id=name) for name, parts in MANY.items()])
def test_many_small_things(parts):
    where, begin, unit, end = parts
    most, _ = peak(transform, where(begin + fill(unit, 500_000) + end))
    assert most < 30


def test_no_cache_holds_large_timestamps():
    transform(timestamp(TIME))  # what is made once only, is made
    _minute.cache_clear()
    tracemalloc.start()
    try:
        for minute in range(60):
            text = TIME[:14] + b"%02d:30." % minute + fill(b"1", 100_000)
            assert not hasattr(transform(timestamp(text)), "reason")
            transform(timestamp(text + b"+0"))
        del text
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000


@pytest.mark.parametrize("unit", [b"a", b"\x00", b"\xff", "é".encode(), "\u202e".encode()])
def test_bytes_are_made_printable_within_bounds(unit):
    most, _ = peak(printable, fill(unit, 50_000))
    assert most < 20
