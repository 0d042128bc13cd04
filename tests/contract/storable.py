"""What the table's columns hold, spelled out apart from the code under test."""

import math
import re
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from models.event import EnrichedEvent

_LENGTHS = {"event_id": 50, "user_id": 50, "product_id": 50, "category": 50, "event_type": 20}
_is_time = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").fullmatch


def assert_storable(row: Sequence[Any]) -> None:
    """Fail unless the table can hold the row, given in the column order of ``EnrichedEvent``."""
    found = dict(zip(EnrichedEvent._options.fields, row, strict=True))
    for name in ("event_id", "user_id", "category"):
        assert isinstance(found[name], str)
    for name, most in _LENGTHS.items():
        assert found[name] is None or len(found[name]) <= most
    for name in ("price", "revenue"):
        assert math.isfinite(struct.unpack("f", struct.pack("f", found[name]))[0])
    assert -(2**31) <= found["quantity"] < 2**31
    ts = found["ts"]
    assert ts is None or _is_time(ts)
    assert ts is None or "1970-01-01 00:00:01" <= ts <= "2038-01-19 03:14:07"
    msgspec.json.encode(row).decode()
