"""Rows of whole events at once, by compiled code, where set-up could build it.

What it does is told by ``models.rules.transform``, and tests hold one against the other, value by
value. It makes the row of an event to which nothing has to be done: in most traffic nearly all of
them. For any other value it has None, and ``transform`` says what becomes of it. Without it
everything is the same, only slower.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from models.fields import EVENT_FIELDS, ROW_FIELDS, Field

#: From values to the JSON of each one's row, None where it is left to ``transform``; and the sum
#: of these rows' revenues.
WholeRows: TypeAlias = Callable[[list[bytes | None]], tuple[list[bytes | None], float]]

#: The build that goes with this file.
_REVISION = 4

_TEXT, _INTEGER, _PRICE, _QUANTITY, _TIMESTAMP, _OTHER = range(6)
_ROLES = {"price": _PRICE, "quantity": _QUANTITY, "timestamp": _TIMESTAMP}
#: A field of another kind is left to Python wherever an event has it.
_KINDS = {str: _TEXT, int: _INTEGER}


def _kind(field: Field) -> int:
    return _ROLES.get(field.name, _KINDS.get(field.kind, _OTHER))


def compiled(
    event_fields: Sequence[Field] = EVENT_FIELDS, row_fields: Sequence[Field] = ROW_FIELDS
) -> WholeRows | None:
    """Tell the compiled module which fields there are.

    None where it was not built, or the fields are more, or longer, than it has room for.
    """
    try:
        from models import _whole_events
    except ImportError:
        return None
    if _whole_events.REVISION != _REVISION:
        return None
    places = {field.name: place for place, field in enumerate(event_fields)}
    places |= {"revenue": -1, "ts": places["timestamp"]}
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
    except ValueError:
        return None
    return made.rows


#: None where it was not built.
whole_rows = compiled()
#: By what the rows of whole events are made, in a word.
MADE_BY = "compiled" if whole_rows else "python"
