"""Every document becomes the row, or the dead letter, that the contract says."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from models.event import EnrichedEvent
from models.rules import Rejection, transform

FIELDS = tuple(EnrichedEvent._options.fields)
FILES = ("cases.jsonl", "more_cases.jsonl")


def load(name: str) -> list[dict[str, Any]]:
    with Path(__file__).with_name(name).open() as lines:
        return [json.loads(line) for line in lines]


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
    floats = {"price", "revenue"}
    assert {k: v for k, v in found.items() if k not in floats} == {
        k: v for k, v in expected.items() if k not in floats
    }
    for name in floats:
        assert float32_steps(found[name], expected[name]) <= 1, name


@pytest.mark.parametrize("case", [pytest.param(c, id=c["case"]) for f in FILES for c in load(f)])
def test_case(case):
    transformed = transform(value(case))
    if case["expect"] == "row":
        assert not isinstance(transformed, Rejection), transformed
        assert_same_row(dict(zip(FIELDS, transformed[0], strict=True)), case["row"])
    else:
        assert isinstance(transformed, Rejection), transformed
        assert transformed.reason == case["reason"]
        assert transformed.detail


def test_the_cases_are_all_there():
    assert len(load("cases.jsonl")) == 442
    assert len(load("more_cases.jsonl")) > 1000
