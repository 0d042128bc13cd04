"""JSON of any depth, read without recursion.

Python's own parser recurses, and how deep it can differs with the Python version, the caller's
depth and the thread's stack. This one answers alike everywhere; it is for documents too deep for
the other, because it is many times slower.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

_skip_blanks = re.compile(r"[ \t\n\r]*+").match

#: Reads one value from a place on; returns it with the place after it (``JSONDecoder.scan_once``).
Scan: TypeAlias = Callable[[str, int], tuple[Any, int]]


def decode(text: str, scan: Scan, make_object: Callable[[list[Any]], Any]) -> Any:
    """Read a document.

    Args:
        text: the document.
        scan: reads values that are no arrays or objects.
        make_object: makes an object of its ``(name, value)`` pairs.

    Raises:
        json.JSONDecodeError: as ``json.loads`` does, in the words of Python 3.11.
    """
    # Around the value being read: arrays (lists), and objects (lists too) with a member's name.
    around: list[tuple[list[Any], str | None]] = []
    place = _after_blanks(text, 0)
    while True:
        bracket = text[place : place + 1]
        if bracket and bracket in "[{":
            place = _after_blanks(text, place + 1)
            if text[place : place + 1] != ("]" if bracket == "[" else "}"):
                name = None
                if bracket == "{":
                    name, place = _name(text, place, scan)
                around.append(([], name))
                continue
            value: Any = [] if bracket == "[" else make_object([])
            place += 1
        else:
            try:
                value, place = scan(text, place)
            except StopIteration as stopped:
                raise json.JSONDecodeError("Expecting value", text, stopped.value) from None
        # The value is whole; and so may be what is around it.
        while around:
            members, name = around[-1]
            members.append(value if name is None else (name, value))
            place = _after_blanks(text, place)
            if text[place : place + 1] == ",":
                place = _after_blanks(text, place + 1)
                if name is not None:
                    name, place = _name(text, place, scan)
                    around[-1] = members, name
                break
            if text[place : place + 1] != ("]" if name is None else "}"):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
            place += 1
            value = members if name is None else make_object(members)
            around.pop()
        else:
            end = _after_blanks(text, place)
            if end != len(text):
                raise json.JSONDecodeError("Extra data", text, end)
            return value


def _name(text: str, place: int, scan: Scan) -> tuple[str, int]:
    """A member's name, and where its value begins."""
    if text[place : place + 1] != '"':
        expected = "Expecting property name enclosed in double quotes"
        raise json.JSONDecodeError(expected, text, place)
    name, place = scan(text, place)
    place = _after_blanks(text, place)
    if text[place : place + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, place)
    return name, _after_blanks(text, place + 1)


def _after_blanks(text: str, place: int) -> int:
    match = _skip_blanks(text, place)
    assert match
    return match.end()
