"""The decoder in its plainest form: everything is decoded in full, and nothing is skipped.

``models.decode`` is many times faster and must answer the same for every value.
"""

import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec

import models.decode
from models import json_errors, strict_json
from models.decode import _WORDS, Event, _Known
from models.fields import EVENT_FIELDS
from models.quality import BITS, Kind

_decode = msgspec.json.Decoder(Event).decode
_decode_known = msgspec.json.Decoder(_Known).decode
_decode_all = msgspec.json.Decoder().decode
_INT32 = range(-(2**31), 2**31)
_FIELDS = {field.name: field for field in EVENT_FIELDS}


class Members(list[tuple[str, Any]]):
    """An object's members."""


def decode(value: bytes) -> tuple[Any, int]:
    """What ``models.decode.decode`` must answer; raises ValueError for what is malformed."""
    if len(value) <= 1000:
        try:
            return _strictly(value), 0
        except (ValueError, RecursionError):
            pass
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 10_000)
    try:
        return leniently(value)
    finally:
        sys.setrecursionlimit(limit)


def _strictly(value: bytes) -> Any:
    try:
        return _decode(value)
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise
    _decode_all(value)
    return _decode_known(value)


def leniently(value: bytes) -> tuple[Any, int]:
    """Field by field."""
    event: Any = Event()
    flags = 0
    for name, found in parse(value):
        if name not in _FIELDS:
            continue
        kept = found
        kind = _FIELDS[name].kind
        if found is None:
            pass
        elif kind is float and isinstance(found, str) and found in _WORDS:
            kept = _WORDS[found]
        elif kind is float and _is_number(found):
            kept = float(found)
        elif kind is int and _is_number(found) and isinstance(found, int):
            if found not in _INT32:
                flags |= BITS[name, Kind.OUT_OF_RANGE]
                continue
        elif kind in (int, float):
            flags |= BITS[name, Kind.MISTYPED]
            continue
        elif not isinstance(found, str):
            kept = compact(found)
            flags |= BITS[name, Kind.STRINGIFIED]
        setattr(event, name, kept)
    return event, flags


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def parse(value: bytes) -> Members:
    """One strict JSON object; ValueError, with its detail, for anything else."""
    if said := json_errors.explain_start(value):
        raise ValueError(said)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(json_errors.explain_encoding(error)) from None
    if nesting(text) > 1000:
        raise ValueError("nested more than 1000 deep")
    try:
        found = json.JSONDecoder(
            object_pairs_hook=Members,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_constant,
        ).decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(json_errors.explain_syntax(text, error.msg, error.pos)) from None
    if not isinstance(found, Members):
        raise ValueError(json_errors.explain_kind(found))  # noqa: TRY004
    if re.search("[\ud800-\udfff]", compact(found, str)):
        raise ValueError("half of a surrogate pair")
    return found


def nesting(text: str) -> int:
    """How many brackets are open at the deepest place, those in strings left out."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"?', "", text, flags=re.S)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _integer(digits: str) -> int:
    _float(digits)
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"a number beyond float64 ({digits[:20]}…)")
    if len(digits) > 1000:
        raise ValueError(f"a number of more than 1000 digits ({digits[:20]}…)")
    return number


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def compact(value: Any, scalar: Callable[[Any], str] = strict_json._scalar) -> str:
    """A value as Jackson's generator writes it; scalars are spelled by ``models.strict_json``."""
    if isinstance(value, Members):
        members = [f"{scalar(name)}:{compact(member, scalar)}" for name, member in value]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join([compact(item, scalar) for item in value])}]"
    return scalar(value)


def assert_same_answer(value: bytes) -> None:
    """Fail unless ``models.decode`` answers as this module does, the detail included."""
    expected, found = (_answer(function, value) for function in (decode, models.decode.decode))
    if isinstance(expected, str) and isinstance(found, str):
        assert found.startswith(expected), value
    else:
        assert found == expected, value


def _answer(function: Callable[[bytes], tuple[Any, ...]], value: bytes) -> str | tuple[str, int]:
    try:
        event, flags, *fits = function(value)
    except ValueError as error:
        return str(error)
    if any(fits):
        for field in EVENT_FIELDS:
            assert (
                field.max_length is None
                or len(getattr(event, field.name) or "") <= field.max_length
            )
    # As text, because there -0.0 differs from 0.0, and NaN equals itself.
    return repr(msgspec.structs.astuple(event)), flags
