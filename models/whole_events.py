"""Makes the rows of whole events in compiled code, if the installation could build it.

``models.rules.transform`` defines the behaviour, and tests compare both value by value. The
compiled code handles only events that need no fill or repair, usually nearly all of them; for any
other value it returns None, and ``transform`` handles it. Without the compiled code everything
works the same, only slower.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from models.fields import EVENT_FIELDS, ROW_FIELDS, Field

#: From values to each one's row as JSON (None if left to ``transform``), and the sum of the rows'
#: revenues.
WholeRows: TypeAlias = Callable[[list[bytes | None]], tuple[list[bytes | None], float]]

#: The revision of the compiled module that matches this file.
_REVISION = 4

_TEXT, _INTEGER, _PRICE, _QUANTITY, _TIMESTAMP, _OTHER = range(6)
_ROLES = {"price": _PRICE, "quantity": _QUANTITY, "timestamp": _TIMESTAMP}
#: An event with a field of another kind is left to Python.
_KINDS = {str: _TEXT, int: _INTEGER}


class Compiled(NamedTuple):
    """Rows by compiled code, None where ``transform`` makes all; and what makes rows, in words."""

    rows: WholeRows | None
    words: str


def _kind(field: Field) -> int:
    return _ROLES.get(field.name, _KINDS.get(field.kind, _OTHER))


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
            [(field.name, _kind(field), field.max_length) for field in event_fields],
            [places[field.name] for field in row_fields],
            {
                places[field.name]
                for field in event_fields
                if field.kind is not datetime and not field.nullable
            },
        )
    except ValueError as error:
        return _python_alone(f"has room for {error}")
    left = [f"{one.name} ({one.kind.__name__})" for one in event_fields if _kind(one) == _OTHER]
    but = f", but by Python those of events with {' or '.join(left)}" if left else ""
    return Compiled(made.rows, f"the compiled module{but}")


def _python_alone(why: str) -> Compiled:
    return Compiled(None, f"Python alone: the compiled module {why}")


#: What makes the rows of whole events; and the same for people, with the reason if it is Python.
whole_rows, ROWS_BY = compiled()
