"""Makes the rows of the usual events in compiled code, if the installation could build it.

``models.rules.transform`` defines the behaviour, and tests compare both value by value. The
compiled code fills what is missing and repairs plain values of another type, as the rules do; for
what is less usual it makes no row, and ``transform`` handles it. Without the compiled code
everything works the same, only slower.
"""

from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from models.fields import EVENT_FIELDS, ROW_FIELDS, Field
from models.quality import BITS, Kind


class PackedValues(Protocol):
    """Values that lie in messages: of each its message, its place there, and its size.

    A size of -1 is that of no value.
    """

    @property
    def messages(self) -> list[bytes]: ...
    @property
    def which(self) -> "array[int]": ...
    @property
    def starts(self) -> "array[int]": ...
    @property
    def sizes(self) -> "array[int]": ...


#: From values to their rows as JSON lines, in texts that end before each value that is left to
#: ``transform``, and with the last; the places of those; each one's quality flags; the sum of
#: revenues.
WholeRows: TypeAlias = Callable[
    [list[bytes | None] | PackedValues], tuple[list[bytes], list[int], "array[int]", float]
]

#: The revision of the compiled module that matches this file.
_REVISION = 7

_TEXT, _INTEGER, _PRICE, _QUANTITY, _TIMESTAMP, _OTHER = range(6)
_ROLES = {"price": _PRICE, "quantity": _QUANTITY, "timestamp": _TIMESTAMP}
#: An event with a field of another kind is left to Python.
_KINDS = {str: _TEXT, int: _INTEGER}
#: What a filled text begins with, and how many characters of the product follow.
_FILLED_TEXTS = {"user_id": ("guest_", 2**31 - 1), "category": ("category_", 2)}
_SOURCE = "product_id"
#: What becomes of a value of another JSON type, by the type of the field.
_REPAIRS = {str: Kind.STRINGIFIED, datetime: Kind.STRINGIFIED}


class Compiled(NamedTuple):
    """Rows by compiled code, None where ``transform`` makes all; and what makes rows, in words."""

    rows: WholeRows | None
    words: str


def _kind(field: Field) -> int:
    return _ROLES.get(field.name, _KINDS.get(field.kind, _OTHER))


def _told(field: Field) -> tuple[str, int, int | None, int, int, str, int]:
    """What the compiled module knows of a field."""
    prefix, taken = _FILLED_TEXTS.get(field.name, ("", 0))
    known = prefix or _kind(field) in (_PRICE, _QUANTITY)
    return (
        field.name,
        _kind(field),
        field.max_length,
        BITS.get((field.name, Kind.FILLED), 0) if known else 0,
        BITS.get((field.name, _REPAIRS.get(field.kind, Kind.MISTYPED)), 0),
        prefix,
        taken,
    )


def compiled(
    event_fields: Sequence[Field] = EVENT_FIELDS, row_fields: Sequence[Field] = ROW_FIELDS
) -> Compiled:
    """Configure the compiled module with the fields, if it was built and has room for them."""
    try:
        from models import _whole_events
    except ImportError:
        return _python_alone("was not built")
    if _whole_events.REVISION != _REVISION:
        return _python_alone("was built for another version of the app")
    places = {field.name: place for place, field in enumerate(event_fields)}
    places |= {"revenue": -1, "ts": places["timestamp"]}
    if computed := [field.name for field in row_fields if field.name not in places]:
        return _python_alone(f"does not compute {', '.join(computed)}")
    try:
        made = _whole_events.WholeEvents(
            [_told(field) for field in event_fields],
            [places[field.name] for field in row_fields],
            {
                places[field.name]
                for field in event_fields
                if field.kind is not datetime and (field.filled or not field.nullable)
            },
            places[_SOURCE],
            BITS["timestamp", Kind.UNPARSABLE],
        )
    except ValueError as error:
        return _python_alone(f"has room for {error}")
    left = [f"{one.name} ({one.kind.__name__})" for one in event_fields if _kind(one) == _OTHER]
    but = f", but by Python those of events with {' or '.join(left)}" if left else ""
    return Compiled(made.rows, f"the compiled module{but}")


def _python_alone(why: str) -> Compiled:
    return Compiled(None, f"Python alone, at two thirds of the rate: the compiled module {why}")


#: What makes the rows of whole events; and the same for people, with the reason if it is Python.
whole_rows, ROWS_BY = compiled()
