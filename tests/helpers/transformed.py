"""Events, and the rows with their flags that the rules make of them."""

import json

from models.fields import ROW_NAMES
from models.quality import BITS
from models.rules import Rejection, transform

EVENT = {
    "event_id": "e",
    "user_id": "u",
    "product_id": "p",
    "category": "c",
    "event_type": "view",
    "price": 1.5,
    "quantity": 2,
    "timestamp": "2026-11-27T10:15:30Z",
}


def changed(**fields):
    """The value of a whole event, with these fields instead."""
    return json.dumps({**EVENT, **fields}).encode()


def row(value):
    """The row of a value by column, and its quality flags."""
    transformed = transform(value)
    assert not isinstance(transformed, Rejection), transformed
    bits = transformed[1]
    flags = {f"{field}.{kind}" for (field, kind), bit in BITS.items() if bits & bit}
    return dict(zip(ROW_NAMES, transformed[0], strict=True)), flags
