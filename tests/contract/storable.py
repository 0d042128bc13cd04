"""What the table's columns hold, spelled out apart from the code under test."""

import math
import re
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from models.fields import ROW_FIELDS

_is_time = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,5}[1-9]|\.[1-9])?").fullmatch


def assert_storable(row: Sequence[Any]) -> None:
    """Fail unless the table can hold the row."""
    for field, found in zip(ROW_FIELDS, row, strict=True):
        if found is None:
            assert field.nullable
        elif field.kind is str:
            assert isinstance(found, str)
            assert len(found) <= (field.max_length or 0)
        elif field.kind is float:
            assert math.isfinite(struct.unpack("f", struct.pack("f", found))[0])
        elif field.kind is int:
            assert -(2**31) <= found < 2**31
        else:
            assert _is_time(found)
            # Second 0 with a fraction, which MySQL rounds up.
            assert "1970-01-01 00:00:00." < found < "2038-01-19 03:14:08"
    msgspec.json.encode(row).decode()
