"""Turns an event's bytes into the row to store, or the reason why there is none.

The rules, in this order, are those of the replaced job: fill missing values, compute the revenue,
drop invalid events. Values that the table cannot hold are rejected here, before they can fail a
whole write. Fields without a rule are passed through.
"""

import math
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from models.decode import decode
from models.fields import EVENT_FIELDS, ROW_FIELDS
from models.quality import BITS, Kind
from models.strict_json import MalformedError
from models.timestamps import OUT_OF_RANGE, to_utc

#: A row: the values of ``models.fields.ROW_FIELDS``.
Row: TypeAlias = tuple[Any, ...]


class Reason(StrEnum):
    """Why an event is not stored as a row."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that is not stored, and why, in a sentence."""

    reason: Reason
    detail: str


#: The largest float32, and so the largest FLOAT.
MAX_FLOAT = 3.4028234663852886e38

#: Halfway to the next float32, if there were one. Spark rounds what is below down to the largest.
#: The shortest JSON text of this number is slightly less than halfway.
_HALFWAY = 3.4028235677973366e38

#: Native byte order, so that too large a number becomes infinity; Python 3.14 and later raise.
_two_floats = struct.Struct("2f")
_pack, _unpack = _two_floats.pack, _two_floats.unpack

#: The places of texts in a row, and their maximum lengths.
_TEXTS = [
    (place, field.max_length)
    for place, field in enumerate(ROW_FIELDS)
    if field.max_length is not None
]

#: Blanks that a server cuts from the end of a text that is too long.
_BLANKS = " \t\n\v\f\r"

#: An event that still lacks one of these after filling is invalid.
_REQUIRED = ("event_id", "user_id", "category")

_USER_ID_FILLED = BITS["user_id", Kind.FILLED]
_CATEGORY_FILLED = BITS["category", Kind.FILLED]
_PRICE_FILLED = BITS["price", Kind.FILLED]
_QUANTITY_FILLED = BITS["quantity", Kind.FILLED]
_TIMESTAMP_UNPARSABLE = BITS["timestamp", Kind.UNPARSABLE]

_TOMBSTONE = Rejection(Reason.MALFORMED, "no value (a tombstone)")

_VALUES = [f"event.{field.name}" if field in EVENT_FIELDS else field.name for field in ROW_FIELDS]
#: Makes an event's row. Generated code, because a loop takes twice as long.
_row = eval(f"lambda event, revenue, ts: ({', '.join(_VALUES)})")  # noqa: S307 - names of our own


def transform(value: bytes | None) -> tuple[Row, int] | Rejection:
    """Turn a Kafka value into a row. Never raises.

    Returns:
        The row with the sum of its quality flags, or the rejection.
    """
    if value is None:
        return _TOMBSTONE
    try:
        event, flags, fits = decode(value)
    except MalformedError as error:
        return Rejection(Reason.MALFORMED, str(error))
    if event.event_id is None or event.user_id is None or event.category is None:
        flags |= _fill_from_product(event)
        fits = False
        if missing := [name for name in _REQUIRED if getattr(event, name) is None]:
            return _invalid(missing)
    quantity = event.quantity
    if quantity is None:
        quantity = event.quantity = 1
        flags |= _QUANTITY_FILLED
    price = event.price
    if price is None:
        price = event.price = 0.0
        flags |= _PRICE_FILLED
    elif not -MAX_FLOAT <= price <= MAX_FLOAT and -_HALFWAY <= price <= _HALFWAY:
        price = event.price = math.copysign(MAX_FLOAT, price)
    try:
        float32, units = _unpack(_pack(price, quantity))
    except OverflowError:
        return _beyond_float(price, quantity, math.inf)
    if not float32:
        # Never -0.0: the server keeps it for loaded rows, but not for inserted ones.
        price = event.price = float32 = 0.0
    revenue = float32 * units + 0.0
    # NaN fails this comparison too.
    if not (-MAX_FLOAT <= float32 <= MAX_FLOAT and -MAX_FLOAT <= revenue <= MAX_FLOAT):
        return _beyond_float(price, quantity, revenue)
    # Of the numbers that become the same FLOAT, one with fewer digits saves the server an eighth of
    # its time.
    short = price * quantity
    if -MAX_FLOAT <= short <= MAX_FLOAT and _pack(short, short) == _pack(short, revenue):
        revenue = short
    ts = event.timestamp
    if ts is not None:
        ts = to_utc(ts)
        if ts is None:
            flags |= _TIMESTAMP_UNPARSABLE
        elif ts is OUT_OF_RANGE:
            return Rejection(Reason.UNSTORABLE, "timestamp is outside 1970 to 2038-01-19")
    row = _row(event, revenue, ts)
    if not fits:
        cut = _cut(row)
        if isinstance(cut, Rejection):
            return cut
        row = cut
    return row, flags


def _fill_from_product(event: Any) -> int:
    flags = 0
    if event.user_id is None and event.product_id is not None:
        event.user_id = f"guest_{event.product_id}"
        flags |= _USER_ID_FILLED
    if event.category is None and event.product_id is not None:
        event.category = f"category_{event.product_id[:2]}"
        flags |= _CATEGORY_FILLED
    return flags


def _invalid(missing: list[str]) -> Rejection:
    why = "" if missing == ["event_id"] else ", and no product_id to fill from"
    return Rejection(Reason.INVALID, f"no {' and no '.join(missing)}{why}")


def _beyond_float(price: float, quantity: int, revenue: float) -> Rejection:
    if math.isfinite(revenue):
        detail = f"revenue {revenue!r} (price {price!r} × {quantity}) is beyond a FLOAT"
    else:
        detail = f"price {price!r} is beyond a FLOAT"
    return Rejection(Reason.UNSTORABLE, detail)


def _cut(row: Row) -> Row | Rejection:
    """The row as the table will hold it: servers cut excess blanks even in strict mode."""
    for place, limit in _TEXTS:
        text = row[place]
        if text is None or len(text) <= limit:
            continue
        if text[limit:].strip(_BLANKS):
            return Rejection(
                Reason.UNSTORABLE,
                f"{ROW_FIELDS[place].name} has {len(text)} characters, the column holds {limit}",
            )
        row = (*row[:place], text[:limit], *row[place + 1 :])
    return row
