"""Every document becomes the row, or the dead letter, that the contract says."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from models.fields import ROW_FIELDS, ROW_NAMES
from models.rules import Rejection, transform

#: A case need not name a field that is null in its row.
NULLS = {field.name: None for field in ROW_FIELDS if field.nullable}
FLOATS = {field.name for field in ROW_FIELDS if field.kind is float}


def load(*names: str) -> list[dict[str, Any]]:
    """The cases of some files; of all that end at the rules unless they are named."""
    files = [Path(__file__).parent / name for name in names or ("cases.jsonl", "more_cases.jsonl")]
    return [json.loads(line) for file in files for line in file.open()]


def row_of(case: dict[str, Any]) -> dict[str, Any]:
    """What a case becomes: `here`, where zones' rules have changed since Spark was asked."""
    expected: dict[str, Any] = case.get("here") or case["row"]
    return expected


def value(case: dict[str, Any]) -> bytes | None:
    encoded = case["value_b64"]
    return None if encoded is None else base64.b64decode(encoded)


def float32_steps(one: float, other: float) -> int:
    """How many float32 lie between two numbers."""
    ordered: list[int] = []
    for number in (one, other):
        bits = struct.unpack("<i", struct.pack("<f", number))[0]
        ordered.append(bits if bits >= 0 else -(bits & 0x7FFFFFFF))
    return abs(ordered[0] - ordered[1])


def assert_same_row(found: dict[str, Any], expected: dict[str, Any]) -> None:
    expected = NULLS | expected
    assert {k: v for k, v in found.items() if k not in FLOATS} == {
        k: v for k, v in expected.items() if k not in FLOATS
    }
    for name in FLOATS:
        if found[name] != expected[name]:
            assert float32_steps(found[name], expected[name]) <= 1, name


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in load()])
def test_case(case):
    transformed = transform(value(case))
    if case["expect"] == "row":
        assert not isinstance(transformed, Rejection), transformed
        found = dict(zip(ROW_NAMES, transformed[0], strict=True))
        # What becomes of the fraction is up to the server.
        assert_same_row(found | {"ts": found["ts"] and found["ts"][:19]}, row_of(case))
    else:
        assert isinstance(transformed, Rejection), transformed
        assert transformed.reason == case["reason"]
        assert transformed.detail


def test_a_case_need_not_name_a_field_that_is_null():
    expected = dict(load("cases.jsonl")[0]["row"])
    found = NULLS | expected
    assert_same_row(found, expected)
    ts = expected.pop("ts")
    assert_same_row({**found, "ts": None}, expected)
    with pytest.raises(AssertionError):
        assert_same_row({**found, "ts": ts}, expected)


def test_only_a_zone_whose_rules_changed_differs_from_spark():
    changed = [case for case in load() if "here" in case]
    assert all(b"Cuba" in (value(case) or b"") for case in changed)
    assert all(case["here"] | {"ts": None} == case["row"] | {"ts": None} for case in changed)


def test_the_cases_are_all_there():
    assert len(load("cases.jsonl")) == 442
    assert len(load("more_cases.jsonl")) > 1000
