"""The fields that ``models.event`` declares, as plain data."""

from typing import Any, NamedTuple

import faust
from mode.utils.objects import remove_optional

from models.event import EnrichedEvent, FlashSaleEvent


class Field(NamedTuple):
    """A field: ``kind`` is str, int, float or datetime.

    ``max_length`` is the maximum of a stored text in characters (code points); ``nullable``:
    whether a row may have NULL; ``filled``: what the rules fill in, in words; ``examples``: typical
    values.
    """

    name: str
    kind: type
    max_length: int | None
    nullable: bool
    filled: str
    about: str
    examples: tuple[Any, ...]


def _fields(record: type[faust.Record]) -> tuple[Field, ...]:
    descriptors: Any = record._options.descriptors
    return tuple(
        Field(
            name=name,
            kind=remove_optional(declared.type),
            max_length=getattr(declared, "max_length", None),
            nullable=declared.options["nullable"],
            filled=declared.options["filled"],
            about=declared.options["about"],
            examples=declared.options["examples"],
        )
        for name, declared in descriptors.items()
    )


#: The fields of an event; a datetime is sent as text.
EVENT_FIELDS = _fields(FlashSaleEvent)
#: The fields of a row, in the order of its values.
ROW_FIELDS = _fields(EnrichedEvent)
#: The names of the latter.
ROW_NAMES = tuple(field.name for field in ROW_FIELDS)
#: The names of both, each once.
FIELD_NAMES = tuple(dict.fromkeys(field.name for field in (*EVENT_FIELDS, *ROW_FIELDS)))
