"""What the compiled module makes of values, held against what the rules make of them."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from agents.flash_sales import FLASH_SALES
from models.fields import ROW_NAMES
from models.rules import transform
from models.whole_events import WholeRows
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord

_REVENUE = ROW_NAMES.index("revenue")


def each_row(whole_rows: WholeRows, values: list[bytes | None]) -> list[bytes | None]:
    """The row of each value, None for one that is left to the rules."""
    texts, others, _, _ = whole_rows(values)
    rows: list[bytes | None] = []
    for text in texts:
        rows += [*filter(None, text.split(b"\n")), None]
    assert [place for place, row in enumerate(rows[:-1]) if row is None] == others
    return rows[:-1]


def assert_compiled_alike(whole_rows: WholeRows, value: bytes) -> bool:
    """Fail unless row and flags are those of the rules, byte for byte.

    Returns:
        Whether there is a row; what has none is left to the rules.
    """
    texts, others, [flags], total = whole_rows([value])
    if others:
        assert (texts, others) == ([b"", b""], [0]), value
        assert (flags, total) == (0, 0.0), value
        return False
    transformed = transform(value)
    assert isinstance(transformed, tuple), (value, texts, transformed)
    row, expected = transformed
    [line] = texts
    assert (line, flags) == (msgspec.json.encode(row), expected), value
    assert total == row[_REVENUE], value
    return True


def assert_chunks_alike(values: Sequence[bytes | None]) -> None:
    """Fail unless a chunk of these values is the same with the compiled module and without."""
    records = [PlainRecord(place, value, b"k", 7) for place, value in enumerate(values)]
    one, other = (
        Chunk.transform(stream, Partition("t", 0), 0, len(records), records)
        for stream in (FLASH_SALES, replace(FLASH_SALES, whole_rows=None))
    )
    # A sum of floats is as exact as its order allows, which need not be the same.
    lines = other.rows.split(b"\n") if other.rows else []
    amounts = [json.loads(line)[_REVENUE] for line in lines]
    assert abs(one.total - other.total) <= 1e-12 * math.fsum(map(abs, amounts))
    assert FLASH_SALES.tally(one.quality()) == FLASH_SALES.tally(other.quality())
    assert replace(one, stream=other.stream, known_total=other.known_total) == other
