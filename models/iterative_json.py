"""JSON of any depth, read without recursion.

Python's own parser recurses, and its maximum depth depends on the Python version, the caller's
depth and the thread's stack. This one always gives the same answer. It is many times slower, so it
only reads documents that are too deep for Python's.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

_skip_blanks = re.compile(r"[ \t\n\r]*+").match

#: Reads one value at a place; returns it and the place after it (``JSONDecoder.scan_once``).
Scan: TypeAlias = Callable[[str, int], tuple[Any, int]]


def decode(text: str, scan: Scan, make_object: Callable[[list[Any]], Any]) -> Any:
    """Read a document.

    Args:
        text: the document.
        scan: reads a value that is not an array or object.
        make_object: makes an object from its ``(name, value)`` pairs.

    Raises:
        json.JSONDecodeError: like ``json.loads``, with the messages of Python 3.11.
    """
    # The arrays and objects around the current value, as lists; objects with the member's name.
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
        # The value is complete, and perhaps the arrays and objects around it.
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
