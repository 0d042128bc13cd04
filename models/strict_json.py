"""Parses JSON strictly, and writes values as Java does.

Uses Python's parser, but also rejects NaN and Infinity, lone surrogates, numbers beyond float64,
and documents beyond Jackson's limits.
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from typing import Any, Never

from models import iterative_json
from models.json_errors import explain_encoding, explain_kind, explain_start, explain_syntax
from models.nesting_depth import MAX_NESTING, too_deep

#: The limit of Jackson, and so of Spark (StreamReadConstraints).
MAX_DIGITS = 1000

_has_surrogate = re.compile("[\ud800-\udfff]").search


class MalformedError(ValueError):
    """The value is not one strict JSON object; the message says why."""


class Members(list[tuple[str, Any]]):
    """An object's members in order, including repeated names."""

    __slots__ = ()


def parse(value: bytes) -> Members:
    """Read a value that is one JSON object (RFC 8259) in UTF-8.

    Raises:
        MalformedError: it is not.
    """
    if said := explain_start(value):
        raise MalformedError(said)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(explain_encoding(error)) from None
    if too_deep(value):
        raise MalformedError(f"nested more than {MAX_NESTING} deep")
    try:
        found = _decode(text)
    except MalformedError:
        raise
    except json.JSONDecodeError as error:
        raise MalformedError(explain_syntax(text, error.msg, error.pos)) from None
    if not isinstance(found, Members):
        raise MalformedError(explain_kind(found))
    if "\\u" in text and any(map(_has_surrogate, _texts(found))):
        raise MalformedError("half of a surrogate pair")
    return found


def _decode(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except RecursionError:
        return iterative_json.decode(text, _scan, Members)


def _integer(digits: str) -> int:
    _float(digits)
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedError(f"a number beyond float64 ({digits[:20]}…)")
    if len(digits) > MAX_DIGITS:
        raise MalformedError(f"a number of more than {MAX_DIGITS} digits ({digits[:20]}…)")
    return number


def _no_constant(word: str) -> Never:
    raise MalformedError(f"{word} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_no_constant,
)
_scan: iterative_json.Scan = getattr(_decoder, "scan_once")  # noqa: B009 (the types leave it out)


def _texts(found: Any) -> Iterator[str]:
    """Every string in a value, including names."""
    # A stack instead of recursion, here and below: documents may be a thousand levels deep.
    todo = [iter((found,))]
    while todo:
        for value in todo[-1]:
            if isinstance(value, str):
                yield value
            elif isinstance(value, list | tuple):
                todo.append(iter(value))
                break
        else:
            todo.pop()


def compact(value: Any) -> str:
    """A value as Jackson writes it, without blanks (Spark's copyCurrentStructure)."""
    text = StringIO()
    write = text.write
    # The remaining items of each array and object around, with the closing bracket.
    todo: list[tuple[Iterator[Any], str]] = [(iter((value,)), "")]
    comma = ""
    while todo:
        items, end = todo[-1]
        for item in items:
            write(comma)
            if end == "}":
                name, member = item
                write(f"{_quoted(name)}:")
            else:
                member = item
            if isinstance(member, list):
                bracket, closing = "{}" if isinstance(member, Members) else "[]"
                write(bracket)
                todo.append((iter(member), closing))
                comma = ""
                break
            write(_scalar(member))
            comma = ","
        else:
            write(end)
            comma = ","
            todo.pop()
    return text.getvalue()


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value)
    return java_double(value)


# Matches runs, because each match costs more memory than its text. An even number of backslashes
# may precede the escape of a control character.
_REWRITTEN = re.compile(r"(?<!\\)(?:\\\\)*+(?:\\u00[0-9a-f]{2})++|[\U00010000-\U0010ffff]++")


def _quoted(text: str) -> str:
    """As Jackson: \\u escapes in upper case, and surrogate pairs for other planes."""
    return _REWRITTEN.sub(_as_jackson, json.dumps(text, ensure_ascii=False))


def _as_jackson(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith("\\"):
        return found.upper().replace("\\U", "\\u")
    digits = found.encode("utf-16-be").hex("-", 2).upper()
    return "\\u" + digits.replace("-", "\\u")


def java_double(number: float) -> str:
    """A float64 as Java's Double.toString writes it: scientific below 1e-3 and from 1e7 on.

    With the fewest digits that identify the number, as in JDK 19 and later; older versions write
    more digits for some numbers.
    """
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    if abs(number) == sys.float_info.min * sys.float_info.epsilon:
        return "-4.9E-324" if number < 0 else "4.9E-324"
    sign, digits, _ = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    exponent = Decimal(repr(number)).adjusted()
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{exponent}"
