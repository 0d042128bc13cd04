"""Quality flags of a row, one bit for each fill and repair."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from models.fields import EVENT_FIELDS, Field


class Kind(StrEnum):
    """What happened to a field's value.

    FILLED: the rules filled in a missing value. The others are repairs of a value that did not
    match the schema.
    """

    FILLED = "filled"
    STRINGIFIED = "stringified"
    MISTYPED = "mistyped"
    OUT_OF_RANGE = "out_of_range"
    UNPARSABLE = "unparsable"


#: Repairs by the type of the field.
_REPAIRS = {
    str: (Kind.STRINGIFIED,),
    float: (Kind.MISTYPED,),
    int: (Kind.MISTYPED, Kind.OUT_OF_RANGE),
    datetime: (Kind.STRINGIFIED, Kind.UNPARSABLE),
}


def _flags(fields: tuple[Field, ...]) -> Iterator[tuple[str, Kind]]:
    for field in fields:
        if field.filled:
            yield field.name, Kind.FILLED
        for kind in _REPAIRS[field.kind]:
            yield field.name, kind


#: The bit of each flag, by field and kind. A row's flags are the sum of its bits.
BITS = {flag: 1 << place for place, flag in enumerate(_flags(EVENT_FIELDS))}


def tally(rows: Mapping[int, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Count rows by their quality flags.

    Args:
        rows: the number of rows for each sum of bits.

    Returns:
        Rows filled, by field; rows repaired, by ``field.kind``.
    """
    filled: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for bits, number in rows.items():
        for (field, kind), bit in BITS.items():
            if bits & bit and kind is Kind.FILLED:
                filled[field] += number
            elif bits & bit:
                repaired[f"{field}.{kind}"] += number
    return dict(filled), dict(repaired)
