"""``python -m local.events_page``: what events and rows have, as a page of documentation."""

import json
from datetime import datetime

from sqlalchemy.dialects import mysql

from db.tables import flash_sale_events
from models.fields import EVENT_FIELDS, ROW_FIELDS, ROW_NAMES, Field
from models.rules import Rejection, transform

_HEAD = """# Events and rows

Made by `make docs` from `models/event.py`, where each field is declared once.

An event is a JSON object in UTF-8, such as

```json
{event}
```

which becomes the row

```json
{row}
```

## Fields of an event

Any of them may be missing or null. Fields that are not listed are ignored. What becomes of values
of another type, and why an event is dropped, is in the
[README](../README.md#what-becomes-of-an-event).

| field | JSON type | where it is missing or null | |
|---|---|---|---|
"""
_COLUMNS = """
## Columns of `flash_sale_events`

Beside them is `id`, which numbers the rows.

| column | type | rows of this app have NULL | |
|---|---|---|---|
"""
_JSON = {str: "string", float: "number", int: "32-bit integer", datetime: "string"}
_NULL = {True: "yes", False: "no"}
_DIALECT = mysql.dialect()


def page() -> str:
    """The whole page."""
    sent = {field.name: field.examples[0] for field in EVENT_FIELDS}
    made = transform(json.dumps(sent).encode())
    assert not isinstance(made, Rejection), made
    row = dict(zip(ROW_NAMES, made[0], strict=True))
    head = _HEAD.format(event=_pretty(sent), row=_pretty(row))
    events = [
        f"| `{field.name}` | {_JSON[field.kind]} | {_missing(field)} | {field.about} |\n"
        for field in EVENT_FIELDS
    ]
    columns = [
        f"| `{field.name}` | `{_type(field)}` | {_NULL[field.nullable]} | {field.about} |\n"
        for field in ROW_FIELDS
    ]
    return head + "".join(events) + _COLUMNS + "".join(columns)


def _missing(field: Field) -> str:
    if field.filled:
        return field.filled
    return "NULL" if field.nullable else "the event is `invalid`"


def _type(field: Field) -> str:
    return str(flash_sale_events.c[field.name].type.compile(_DIALECT))


def _pretty(fields: dict[str, object]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    print(page(), end="")
