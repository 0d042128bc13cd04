"""A JSON document, whole and strictly, and its values written as Java writes them.

Python's own parser reads it, with what it lets pass closed: NaN and Infinity, lone surrogates,
numbers beyond float64, what is longer or nested deeper than Jackson reads.
"""

import json
import math
import re
import sys
from decimal import Decimal
from typing import Any, Never

#: Past these Jackson (StreamReadConstraints), and so Spark, does not read a document.
MAX_NESTING = 1000
MAX_DIGITS = 1000

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[{\]}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class MalformedError(ValueError):
    """The value is not one strict JSON object; the text says where it goes wrong."""


class Members(list[tuple[str, Any]]):
    """An object's members in their order, the ones named twice included."""


def parse(value: bytes) -> Members:
    """Read a value that is one JSON object (RFC 8259) in UTF-8.

    Raises:
        MalformedError: it is not.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"not UTF-8 at byte {error.start}") from None
    nesting = _nesting(text) if len(text) > 200 else 0
    if nesting > MAX_NESTING:
        raise MalformedError(f"nested more than {MAX_NESTING} deep")
    try:
        found = _deep(text, nesting) if nesting > 100 else _decode(text)
    except MalformedError:
        raise
    except json.JSONDecodeError as error:
        raise MalformedError(f"{error.msg} at character {error.pos}") from None
    if not isinstance(found, Members):
        raise MalformedError("JSON, but not an object")
    if "\\u" in text and _SURROGATE.search(_all_text(found)):
        raise MalformedError("half of a surrogate pair")
    return found


def _nesting(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _deep(text: str, nesting: int) -> Any:
    """The interpreter's limit counts the caller's frames too; make room for the document's."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 3 * nesting)
    try:
        return _decode(text)
    finally:
        sys.setrecursionlimit(limit)


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
    raise MalformedError(f"{word} is no JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_no_constant,
).decode


def _all_text(found: Any) -> str:
    texts: list[str] = []
    todo = [found]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, Members):
            for name, member in value:
                texts.append(name)
                todo.append(member)
        elif isinstance(value, list):
            todo.extend(value)
    return " ".join(texts)


def compact(value: Any) -> str:
    """A value as Jackson's generator writes it, without blanks (Spark's copyCurrentStructure)."""
    parts: list[str] = []
    # A stack of iterators instead of recursion: documents may be a thousand deep.
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _Text):
            parts.append(item.text)
        elif isinstance(item, Members):
            todo.append(_Text("}"))
            for place, (name, member) in reversed(list(enumerate(item))):
                todo += [member, _Text(f"{',' if place else ''}{_quoted(name)}:")]
            todo.append(_Text("{"))
        elif isinstance(item, list):
            todo.append(_Text("]"))
            for place, member in reversed(list(enumerate(item))):
                todo.append(member)
                if place:
                    todo.append(_Text(","))
            todo.append(_Text("["))
        else:
            parts.append(_scalar(item))
    return "".join(parts)


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text


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


_ESCAPED = re.compile(r"\\\\|\\u00[0-9a-f]{2}|[\U00010000-\U0010ffff]")


def _quoted(text: str) -> str:
    """Jackson writes the digits of \\u escapes in capitals, and a pair for what needs one."""
    return _ESCAPED.sub(_jackson_escape, json.dumps(text, ensure_ascii=False))


def _jackson_escape(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith("\\u"):
        return f"\\u{found[2:].upper()}"
    if found.startswith("\\"):
        return found
    pair = found.encode("utf-16-be").hex().upper()
    return f"\\u{pair[:4]}\\u{pair[4:]}"


def java_double(number: float) -> str:
    """A float64 as Java's Double.toString writes it: scientific below 1e-3 and from 1e7 on.

    Digits are the fewest that tell the number apart, as in JDK 19 and later; older ones give
    some numbers more.
    """
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    if abs(number) == sys.float_info.min * sys.float_info.epsilon:
        return "-4.9E-324" if number < 0 else "4.9E-324"
    sign, digits, _ = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    exponent = Decimal(repr(number)).adjusted()
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{exponent}"
