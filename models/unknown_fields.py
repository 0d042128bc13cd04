"""The values of unknown fields: msgspec skips them, and what it does not check is checked here.

Where unknown fields are allowed, msgspec 0.22 skips their values. It checks their grammar, their
escapes and their surrogate pairs, but not (found by reading its source, and by trying):

- UTF-8, in names and in strings,
- numbers beyond float64,
- numbers of more digits than Jackson reads,
- nesting: only as deep as the interpreter's stack goes, which differs from version to version.
"""

import codecs

import msgspec

from models.nesting_depth import MAX_NESTING, too_deep
from models.strict_json import MAX_DIGITS

_decode_all = msgspec.json.Decoder().decode

#: More bytes than this are checked in portions: one emoji makes the text of all four times as
#: large as its bytes.
_PORTION = 65_536


def _shape_of(byte: int) -> int:
    if byte in b"0123456789.+":
        return ord("0")
    if byte in b"eE":
        return ord("e")
    return ord(" ") if byte in b" \t\r\n,:[-" else ord("x")


#: A document's shape has numbers as zeros, exponents as ``0e0``, and a blank before each number.
_SHAPE = bytes(map(_shape_of, range(256)))

# A number beyond float64 has more than 308 digits before its point, those that its exponent adds
# counted in: it has an exponent of three digits, or a hundred digits before its exponent. So has
# a number of more than 1000 digits; unless a hundred are in the exponent.
_LONG_NUMBER = b" " + b"0" * 100
_LARGE_EXPONENT = b"0e000"
_LONG_EXPONENT = b"0e" + b"0" * 100


def check_unknown_fields(value: bytes) -> None:
    """Check the values that msgspec skipped in a document that it decoded.

    Raises:
        ValueError, RecursionError: the document is not to be trusted.
    """
    if not value.isascii():
        _check_utf8(value)
    shape = value.translate(_SHAPE)
    # From the right, because the first bytes of both are rarer in shapes than the last: it takes
    # half the time.
    long = shape.rfind(_LONG_NUMBER) >= 0
    if long or shape.rfind(_LARGE_EXPONENT) >= 0:
        if len(value) > MAX_DIGITS and (long or shape.rfind(_LONG_EXPONENT) >= 0):
            raise ValueError("its numbers may be too long")
        # Mostly it is a part of a UUID. Decoding everything finds out.
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
