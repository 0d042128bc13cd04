"""Checks of the events table; see ``db.schema.checks``."""

from collections.abc import Iterator
from datetime import datetime

from db.schema import event_key
from db.schema.facts import ColumnFacts, TableFacts
from db.schema.problem import TableProblem, alter, quoted, with_nulls
from db.schema.sales_tables import flash_sale_events
from models.fields import ROW_FIELDS, Field

_EVENTS = flash_sale_events.name
#: Largest AUTO_INCREMENT value of a signed integer.
_MAX_VALUES = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "mediumint": 2**23 - 1, "int": 2**31 - 1}
_FULL_CHARSETS = {"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"}
_TEXT_TYPES = {"varchar", "tinytext", "text", "mediumtext", "longtext"}
_DEAD = "become dead letters"


def holds_all(column: ColumnFacts) -> bool:
    """Whether a text column's character set has every character."""
    return column.charset is None or column.charset in _FULL_CHARSETS


def inspect_events(there: TableFacts) -> Iterator[TableProblem]:
    """The events table's problems; missing and generated columns are not checked here."""
    columns = {name: one for name, one in there.columns.items() if not one.generated}
    if "id" in columns:
        yield from _id(columns["id"], there)
    fields = [field for field in ROW_FIELDS if field.name in columns]
    yield from _charset([columns[field.name] for field in fields if field.kind is str])
    for field in fields:
        yield from _CHECKS[field.kind](columns[field.name], field)
    yield from _others(there)


def _id(column: ColumnFacts, there: TableFacts) -> Iterator[TableProblem]:
    if not column.numbers_itself:
        key = "" if there.unique.get("PRIMARY") == ["id"] else ", ADD UNIQUE KEY (id)"
        yield _refused(
            f"{_EVENTS}.id is not AUTO_INCREMENT, so rows would get no id",
            f"MODIFY COLUMN id BIGINT NOT NULL AUTO_INCREMENT{key}",
        )
    elif column.type in _MAX_VALUES:
        most = _MAX_VALUES[column.type] * 2 + 1 if column.unsigned else _MAX_VALUES[column.type]
        last = there.last_id
        full = last is not None and last >= most
        used = (
            "" if last is None else f", of whose {most} values {last} ({last / most:.0%}) are used"
        )
        yield TableProblem(
            full,
            f"{_EVENTS}.id is {column.full_type}{used}: when it is full, no row can be stored",
            alter(_EVENTS, "MODIFY COLUMN id BIGINT NOT NULL AUTO_INCREMENT"),
        )


def _charset(columns: list[ColumnFacts]) -> Iterator[TableProblem]:
    lacking = [one for one in columns if not holds_all(one)]
    if lacking:
        names = ", ".join(one.name for one in lacking)
        charsets = ", ".join(sorted({str(one.charset) for one in lacking}))
        yield _warned(
            f"{_EVENTS} stores {names} in {charsets}, which lacks characters that events may have "
            f"(such as emoji): such events {_DEAD}, which is slow",
            "CONVERT TO CHARACTER SET utf8mb4",
        )


def _text(column: ColumnFacts, field: Field) -> Iterator[TableProblem]:
    limit = field.max_length or 0
    hint = f"MODIFY COLUMN {field.name} VARCHAR({limit}) CHARACTER SET utf8mb4"
    binary = column.type in ("varbinary", "tinyblob", "blob", "mediumblob", "longblob")
    if column.type in ("enum", "set"):
        yield _warned(f"{_of(column)}: events with another value {_DEAD}", hint)
    elif column.type not in _TEXT_TYPES and column.type != "char" and not binary:
        yield _refused(f"{_of(column)}, which rejects or changes texts", hint)
    elif (column.length or 0) < (4 * limit if binary else limit):
        unit = "bytes" if binary else "characters"
        yield _warned(
            f"{_of(column)}, but events may have {limit} characters: those with more than "
            f"{column.length} {unit} {_DEAD}",
            hint,
        )
    if column.type == "char":
        yield _warned(f"{_of(column)}, which drops trailing spaces", hint)
    yield from _without_nulls(column, field)


def _amount(column: ColumnFacts, field: Field) -> Iterator[TableProblem]:
    hint = f"MODIFY COLUMN {column.name} DOUBLE"
    if column.type not in ("float", "double", "decimal") or column.scale == 0:
        yield _refused(f"{_of(column)}, which rounds or rejects fractions of an amount", hint)
    elif column.scale is not None:
        yield _warned(
            f"{_of(column)}: amounts are silently rounded to {column.scale} digits, and events "
            f"with larger ones {_DEAD}",
            hint,
        )
    if column.unsigned:
        yield _warned(f"{_of(column)}: events with a negative amount {_DEAD}", hint)
    yield from _without_nulls(column, field)


def _integer(column: ColumnFacts, field: Field) -> Iterator[TableProblem]:
    hint = f"MODIFY COLUMN {field.name} BIGINT"
    room = (column.digits or 0) - (column.scale or 0)
    if column.type in ("int", "bigint", "double") or (column.type == "decimal" and room >= 10):
        pass
    elif column.type in _MAX_VALUES or column.type == "decimal":
        yield _warned(f"{_of(column)}: events with a larger {field.name} {_DEAD}", hint)
    else:
        yield _refused(f"{_of(column)}, which does not hold every 32-bit integer exactly", hint)
    if column.unsigned:
        yield _warned(f"{_of(column)}: events with a negative {field.name} {_DEAD}", hint)
    yield from _without_nulls(column, field)


def _time(column: ColumnFacts, field: Field) -> Iterator[TableProblem]:
    if column.type not in ("timestamp", "datetime"):
        if column.type in _TEXT_TYPES and (column.length or 0) >= 19:
            yield _warned(
                f"{_of(column)}, which is not a type of time",
                f"MODIFY COLUMN {field.name} DATETIME NULL",
            )
        else:
            yield _refused(
                f"{_of(column)}, which does not hold a time to the second",
                f"MODIFY COLUMN {field.name} TIMESTAMP NULL",
            )
        return
    if not column.nullable and column.type == "timestamp":
        # MariaDB always, MySQL with explicit_defaults_for_timestamp=OFF.
        yield _refused(
            f"{_EVENTS}.{field.name} is a TIMESTAMP that is NOT NULL: for an event without a time, "
            "a server may silently store the time of the insert",
            with_nulls(column),
        )
    else:
        yield from _without_nulls(column, field)
    if "on update" in column.extra and column.nullable:
        yield _warned(
            f"{_EVENTS}.{field.name} changes to the current time when another program updates its "
            "row",
            with_nulls(column),
        )


_CHECKS = {str: _text, float: _amount, int: _integer, datetime: _time}


def _others(there: TableFacts) -> Iterator[TableProblem]:
    for name, names in there.unique.items():
        if "id" not in names and name != event_key.NAME:
            yield _warned(
                f"{_EVENTS} has a unique index {name} ({', '.join(names)}): events that repeat a "
                f"value {_DEAD}",
                "DROP PRIMARY KEY" if name == "PRIMARY" else f"DROP INDEX {quoted(name)}",
            )
    for kind, name in there.constraints:
        what = "FOREIGN KEY" if kind == "FOREIGN KEY" else "CONSTRAINT"
        yield _warned(
            f"{_EVENTS} has a {kind} {name}: events that violate it {_DEAD}",
            f"DROP {what} {quoted(name)}",
        )
    for name in there.triggers:
        yield TableProblem(
            False,
            f"{_EVENTS} has a trigger {name}, which runs for each row: it may change or reject it, "
            "and each retry repeats what it writes to a table without transactions",
            f"DROP TRIGGER {quoted(name)}, unless it is intended",
        )
    bounded = [bound for method, bound in there.partitions if method.startswith(("RANGE", "LIST"))]
    if bounded and not {"MAXVALUE", "DEFAULT"} & set(bounded):
        yield _warned(
            f"{_EVENTS} is partitioned: events without a matching partition {_DEAD}",
            "ADD PARTITION (PARTITION later VALUES LESS THAN (MAXVALUE))"
            if there.partitions[0][0].startswith("RANGE")
            else "ADD PARTITION (…) for each value",
        )
    for name in there.namesakes:
        yield TableProblem(
            False,
            f"there is also a table {name}, whose name differs from {_EVENTS} only in case: rows "
            f"go to {_EVENTS}",
            f"RENAME TABLE {_EVENTS} TO {_EVENTS}_new, {quoted(name)} TO {_EVENTS}, if {name} is "
            "the right one",
        )


def _without_nulls(column: ColumnFacts, field: Field) -> Iterator[TableProblem]:
    if field.nullable and not column.nullable:
        found = f"{_EVENTS}.{column.name} is NOT NULL: events without a value {_DEAD}"
        yield _warned(found, with_nulls(column))


def _of(column: ColumnFacts) -> str:
    return f"{_EVENTS}.{column.name} is {column.full_type}"


def _refused(found: str, change: str) -> TableProblem:
    return TableProblem(True, found, alter(_EVENTS, change))


def _warned(found: str, change: str) -> TableProblem:
    return TableProblem(False, found, alter(_EVENTS, change))
