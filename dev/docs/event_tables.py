"""The fields of an event and its row, as parts of the documentation."""

import json
from datetime import datetime

from sqlalchemy.dialects import mysql

from db.schema.sales_tables import flash_sale_events
from models.fields import EVENT_FIELDS, ROW_FIELDS, ROW_NAMES, Field
from models.rules import Rejection, transform

_JSON = {str: "string", float: "number", int: "32-bit integer", datetime: "string"}
_NULL = {True: "yes", False: "no"}
_DIALECT = mysql.dialect()


def example() -> str:
    """An event and its row."""
    event = {field.name: field.examples[0] for field in EVENT_FIELDS}
    made = transform(json.dumps(event).encode())
    assert not isinstance(made, Rejection), made
    row = dict(zip(ROW_NAMES, made[0], strict=True))
    return f"{_fenced(event)}\nbecomes the row\n\n{_fenced(row)}"


def fields() -> str:
    """A table of an event's fields."""
    head = "| field | JSON type | where it is missing or null | |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{field.name}` | {_JSON[field.kind]} | {_missing(field)} | {field.about} |\n"
        for field in EVENT_FIELDS
    )


def columns() -> str:
    """A table of a row's columns."""
    head = "| column | type | may be NULL | |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{field.name}` | {_type(field)} | {_NULL[field.nullable]} | {field.about} |\n"
        for field in ROW_FIELDS
    )


def _missing(field: Field) -> str:
    if field.filled:
        return field.filled
    return "NULL" if field.nullable else "the event is `invalid`"


def _type(field: Field) -> str:
    return str(flash_sale_events.c[field.name].type.compile(_DIALECT))


def _fenced(values: dict[str, object]) -> str:
    return f"```json\n{json.dumps(values, indent=2, ensure_ascii=False)}\n```\n"
