"""Checks the values of unknown fields, which msgspec skips.

For skipped values, msgspec 0.22 checks grammar, escapes and surrogate pairs, but not (known from
its source and by experiment):

- UTF-8 in names and strings,
- numbers beyond float64,
- numbers with more digits than Jackson accepts,
- nesting, except for the interpreter's stack limit, which depends on the version.
"""

import codecs

import msgspec

from models.nesting_depth import MAX_NESTING, too_deep
from models.strict_json import MAX_DIGITS

_decode_all = msgspec.json.Decoder().decode

#: Longer values are checked in portions: a single emoji makes a whole text take four bytes per
#: character.
_PORTION = 65_536


def _shape_of(byte: int) -> int:
    if byte in b"0123456789.+":
        return ord("0")
    if byte in b"eE":
        return ord("e")
    return ord(" ") if byte in b" \t\r\n,:[-" else ord("x")


#: A document's shape has numbers as zeros, exponents as ``0e0``, and a blank before each number.
_SHAPE = bytes(map(_shape_of, range(256)))

# A number beyond float64 has more than 308 digits before the point, counting those that its
# exponent adds. So it has an exponent of three digits, or a hundred digits before the exponent. A
# number of more than 1000 digits has a hundred digits before the exponent or in it.
_LONG_NUMBER = b" " + b"0" * 100
_LARGE_EXPONENT = b"0e000"
_LONG_EXPONENT = b"0e" + b"0" * 100


def check_unknown_fields(value: bytes) -> None:
    """Check the values that msgspec skipped in a document that it decoded.

    Raises:
        ValueError, RecursionError: the document may be invalid and must be parsed strictly.
    """
    if not value.isascii():
        _check_utf8(value)
    shape = value.translate(_SHAPE)
    # Searching from the right takes half the time: shapes contain the patterns' first bytes less
    # often than their last.
    long = shape.rfind(_LONG_NUMBER) >= 0
    if long or shape.rfind(_LARGE_EXPONENT) >= 0:
        if len(value) > MAX_DIGITS and (long or shape.rfind(_LONG_EXPONENT) >= 0):
            raise ValueError("its numbers may be too long")
        # Usually it is a part of a UUID. Decoding everything decides.
        _decode_all(value)
    if len(value) > MAX_NESTING and too_deep(value):
        raise ValueError("nested too deep")


def _check_utf8(value: bytes) -> None:
    if len(value) <= _PORTION:
        value.decode()
        return
    decode = codecs.getincrementaldecoder("utf-8")().decode
    for start in range(0, len(value), _PORTION):
        decode(value[start : start + _PORTION])
    decode(b"", final=True)
