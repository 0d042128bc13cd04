"""Makes the rows of whole events in compiled code, if the installation could build it.

``models.rules.transform`` defines the behaviour, and tests compare both value by value. The
compiled code handles only events that need no fill or repair, usually nearly all of them; for any
other value it returns None, and ``transform`` handles it. Without the compiled code everything
works the same, only slower.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

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


def _kind(field: Field) -> int:
    return _ROLES.get(field.name, _KINDS.get(field.kind, _OTHER))


def compiled(
    event_fields: Sequence[Field] = EVENT_FIELDS, row_fields: Sequence[Field] = ROW_FIELDS
) -> WholeRows | None:
    """Configure the compiled module with the fields.

    None if it was not built, or its limits are too small for the fields.
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


#: None if it was not built.
whole_rows = compiled()
#: What makes the rows of whole events, for logs and metrics.
MADE_BY = "compiled" if whole_rows else "python"
