"""Measures how deep a document is nested, in linear time and constant memory."""

import re
from itertools import accumulate

#: The limit of Jackson, and so of Spark (StreamReadConstraints).
MAX_NESTING = 1000

# Possessive quantifiers keep nothing for backtracking: a plain ``*`` would need more than a hundred
# bytes of memory for each character of a string.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_strip_strings = re.compile(_STRING.encode(), re.DOTALL).sub
#: A part of the document that begins and ends outside strings.
_parts = re.compile(rf'(?:[^"]++|{_STRING}){{1,2000}}+'.encode(), re.DOTALL).finditer

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]


def too_deep(value: bytes) -> bool:
    """Whether a document is nested deeper than ``MAX_NESTING``."""
    # Counting brackets first is much faster, and nearly all documents have too few.
    opening = value.count(b"[") + value.count(b"{") if len(value) > MAX_NESTING else 0
    return opening > MAX_NESTING and nesting(value) > MAX_NESTING


def nesting(value: bytes) -> int:
    """The maximum number of open brackets, not counting those in strings."""
    depth = deepest = 0
    for part in _parts(value):
        brackets = _strip_strings(b"", part[0]).translate(None, _NO_BRACKETS)
        if brackets:
            steps = map(_STEPS.__getitem__, brackets)
            deepest = max(deepest, max(accumulate(steps, initial=depth)))
            depth += 2 * (brackets.count(b"[") + brackets.count(b"{")) - len(brackets)
    return deepest
