"""Bytes to an event: strictly first, field by field where that fails.

A field of the wrong JSON type is null, but a string field keeps what is no string as its compact
JSON text (Spark 3.5, JacksonParser). What is not one JSON object is malformed: never guessed.
"""

import math
from typing import Annotated, Any

import msgspec

from models.event import FlashSaleEvent
from models.quality import Note
from models.strict_json import MAX_DIGITS, compact, parse
from models.unchecked import check_skipped

_INT32 = range(-(2**31), 2**31)
_Int32 = Annotated[int, msgspec.Meta(ge=_INT32.start, lt=_INT32.stop)]

_FIELDS = [(name, kind, None) for name, kind in FlashSaleEvent._options.fields.items()]
_NARROW = [(n, _Int32 | None if n == "quantity" else kind, None) for n, kind, _ in _FIELDS]

#: FlashSaleEvent as a msgspec Struct: the same fields, built twelve times as fast. A field it
#: does not know makes it fail, because msgspec does not check all of what it skips.
Event = msgspec.defstruct("Event", _FIELDS, forbid_unknown_fields=True, gc=False)
_Known = msgspec.defstruct("_Known", _FIELDS, gc=False)
_Long = msgspec.defstruct("_Long", _NARROW, gc=False)

_decode = msgspec.json.Decoder(Event).decode
_decode_known = msgspec.json.Decoder(_Known).decode
#: For long documents. A quantity out of range makes it fail even if the event has another one
#: after it, because then it is noted. (In a short document the last one alone counts.)
_decode_long = msgspec.json.Decoder(_Long).decode

#: After an event with unknown fields, so many more are expected to have some: to skip them at
#: once, and to check what was skipped, takes less time than to fail at the first of them. This
#: changes how long decoding takes, never its answer.
_EXPECT_UNKNOWN = 16
_expected = 0

#: Words that Spark reads as numbers although they are strings (allowNonNumericNumbers).
_WORDS = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "+Infinity": math.inf,
    "+INF": math.inf,
    "-Infinity": -math.inf,
    "-INF": -math.inf,
}


def decode(value: bytes) -> tuple[Any, int]:
    """Decode an event.

    Returns:
        An ``Event``, and the sum of the ``Note``\\ s on what was repaired.

    Raises:
        MalformedError: the value is not one strict JSON object.
    """
    try:
        event = _strictly(value)
    except (ValueError, RecursionError):
        return _leniently(value)
    if event.quantity is not None and event.quantity not in _INT32:
        return _leniently(value)
    return event, 0


def _strictly(value: bytes) -> Any:
    global _expected
    # Numbers too long, and nesting too deep, are in longer documents only.
    if len(value) > MAX_DIGITS:
        event = _decode_long(value)
        check_skipped(value)
        return event
    if _expected <= 0:
        try:
            return _decode(value)
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise
        _expected = _EXPECT_UNKNOWN
    _expected -= 1
    event = _decode_known(value)
    check_skipped(value)
    return event


def _leniently(value: bytes) -> tuple[Any, int]:
    event = Event()
    notes: int = 0
    for name, found in parse(value):
        if name == "price":
            notes |= _set_price(event, found)
        elif name == "quantity":
            notes |= _set_quantity(event, found)
        elif name in Event.__struct_fields__:
            notes |= _set_text(event, name, found)
    return event, notes


def _set_text(event: Any, name: str, found: Any) -> int:
    if found is None or isinstance(found, str):
        setattr(event, name, found)
        return 0
    setattr(event, name, compact(found))
    return Note[f"{name.upper()}_STRINGIFIED"].value


def _set_price(event: Any, found: Any) -> int:
    if isinstance(found, str) and found in _WORDS:
        event.price = _WORDS[found]
    elif found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
        event.price = None if found is None else float(found)
    else:
        return Note.PRICE_MISTYPED.value
    return 0


def _set_quantity(event: Any, found: Any) -> int:
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        return Note.QUANTITY_MISTYPED.value
    if found is not None and found not in _INT32:
        return Note.QUANTITY_OUT_OF_RANGE.value
    event.quantity = found
    return 0
