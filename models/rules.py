"""From the bytes of an event to the row that is stored, or the reason why there is none.

The rules, in this order, are those of the job this app replaces: fill, compute the revenue,
drop what is invalid. Then what the table cannot hold is turned away, so that it costs itself only.
"""

import math
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from models.decode import decode
from models.event import EnrichedEvent, max_length
from models.quality import Note
from models.strict_json import MalformedError
from models.timestamps import OUT_OF_RANGE, to_utc

#: A row in the order of ``EnrichedEvent``'s fields.
Row: TypeAlias = tuple[str, str, str | None, str, str | None, float, int, float, str | None]


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

#: Native, because that makes infinity of what is too large; from Python 3.14 on it raises.
_float32 = struct.Struct("f")
_pack, _unpack = _float32.pack, _float32.unpack
_pack_two = struct.Struct("2f").pack

_TEXTS = [
    (place, name, max_length(name))
    for place, name in enumerate(EnrichedEvent._options.fields)
    if place < 5
]
_MAX_TEXT = max_length("event_id")
_MAX_TYPE = max_length("event_type")

_USER_ID_FILLED = Note.USER_ID_FILLED.value
_CATEGORY_FILLED = Note.CATEGORY_FILLED.value
_PRICE_FILLED = Note.PRICE_FILLED.value
_QUANTITY_FILLED = Note.QUANTITY_FILLED.value
_TIMESTAMP_UNPARSABLE = Note.TIMESTAMP_UNPARSABLE.value

_TOMBSTONE = Rejection(Reason.MALFORMED, "no value (a tombstone)")


def transform(value: bytes | None) -> tuple[Row, int] | Rejection:
    """Make a Kafka value a row. Never raises, whatever the bytes.

    Returns:
        The row with the sum of its ``Note``\\ s, or the rejection.
    """
    if value is None:
        return _TOMBSTONE
    try:
        event, notes = decode(value)
    except MalformedError as error:
        return Rejection(Reason.MALFORMED, str(error))
    product_id = event.product_id
    user_id = event.user_id
    if user_id is None and product_id is not None:
        user_id = f"guest_{product_id}"
        notes |= _USER_ID_FILLED
    category = event.category
    if category is None and product_id is not None:
        category = f"category_{product_id[:2]}"
        notes |= _CATEGORY_FILLED
    quantity = event.quantity
    if quantity is None:
        quantity = 1
        notes |= _QUANTITY_FILLED
    price = event.price
    if price is None:
        price = 0.0
        notes |= _PRICE_FILLED
    event_id = event.event_id
    if event_id is None or user_id is None or category is None:
        return _invalid(event_id, user_id, category)
    try:
        float32 = _unpack(_pack(price))[0]
    except OverflowError:
        return _beyond_float(price, quantity, math.inf)
    revenue = float32 * quantity
    # Written so that NaN fails it too.
    if not (-MAX_FLOAT <= float32 <= MAX_FLOAT and -MAX_FLOAT <= revenue <= MAX_FLOAT):
        return _beyond_float(price, quantity, revenue)
    # What is stored is a FLOAT. Of the numbers that become the same FLOAT, those with fewer digits
    # cost the server an eighth less of its time to read.
    if not -MAX_FLOAT <= price <= MAX_FLOAT:
        price = float32
    short = price * quantity
    if -MAX_FLOAT <= short <= MAX_FLOAT and _pack_two(short, short) == _pack_two(short, revenue):
        revenue = short
    ts = event.timestamp
    if ts is not None:
        ts = to_utc(ts)
        if ts is None:
            notes |= _TIMESTAMP_UNPARSABLE
        elif ts is OUT_OF_RANGE:
            return Rejection(Reason.UNSTORABLE, "timestamp is outside 1970 to 2038-01-19")
    event_type = event.event_type
    if (
        len(event_id) > _MAX_TEXT
        or len(user_id) > _MAX_TEXT
        or len(category) > _MAX_TEXT
        or (product_id is not None and len(product_id) > _MAX_TEXT)
        or (event_type is not None and len(event_type) > _MAX_TYPE)
    ):
        return _too_long((event_id, user_id, product_id, category, event_type))
    row = event_id, user_id, product_id, category, event_type, price, quantity, revenue, ts
    return row, notes


def _invalid(event_id: str | None, user_id: str | None, category: str | None) -> Rejection:
    fields = {"event_id": event_id, "user_id": user_id, "category": category}
    missing = [name for name, value in fields.items() if value is None]
    why = "" if missing == ["event_id"] else ", and no product_id to fill from"
    return Rejection(Reason.INVALID, f"no {' and no '.join(missing)}{why}")


def _beyond_float(price: float, quantity: int, revenue: float) -> Rejection:
    if math.isfinite(revenue):
        detail = f"revenue {revenue!r} (price {price!r} × {quantity}) is beyond a FLOAT"
    else:
        detail = f"price {price!r} is beyond a FLOAT"
    return Rejection(Reason.UNSTORABLE, detail)


def _too_long(texts: tuple[str | None, ...]) -> Rejection:
    for place, name, most in _TEXTS:
        text = texts[place]
        if text is not None and len(text) > most:
            return Rejection(
                Reason.UNSTORABLE, f"{name} has {len(text)} characters, the column holds {most}"
            )
    raise AssertionError("no text is too long")
