"""Checks of tables that are older than this app or were created by hand.

A table is rejected if it would break exactly-once, silently change values or reject nearly every
row. If it would only turn single rows into dead letters, there is a warning.
"""

from collections.abc import Iterator

from sqlalchemy import Column, Connection, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateColumn

from db.schema import events_checks
from db.schema.facts import ColumnFacts, TableFacts, is_missing, read_facts
from db.schema.problem import TableProblem, alter, with_nulls
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import metadata

_DIALECT = mysql.dialect()
_INTEGERS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_TEXTS = {"varchar", "char", "tinytext", "text", "mediumtext", "longtext"}
_BINARIES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}


def inspect_tables(connection: Connection) -> list[TableProblem]:
    """Compare our tables with what the app needs; problems that stop a worker come first.

    What the account may not see is not reported.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: a query failed.
    """
    facts = read_facts(connection)
    problems: list[TableProblem] = []
    for table in metadata.sorted_tables:
        there = facts.get(table.name)
        if there is not None:
            problems += _of_table(connection, table, there)
        elif is_missing(connection, table.name):
            problems.append(
                TableProblem(
                    True,
                    f"the table {table.name} is missing",
                    "restore it, or run `faust -A app migrate` on an empty database",
                )
            )
    return sorted(problems, key=lambda one: not one.refused)


def _of_table(connection: Connection, table: Table, there: TableFacts) -> Iterator[TableProblem]:
    if there.is_view:
        # Not every server lets an account see the table behind a view.
        yield TableProblem(
            True,
            f"{table.name} is a view, but must be the table itself",
            f"RENAME TABLE {table.name} TO {table.name}_view, … TO {table.name} "
            "(the table behind the view)",
        )
        return
    if there.transactional is False:
        yield TableProblem(
            True,
            f"{table.name} uses the engine {there.engine}, which has no transactions: rows of a "
            "failed write would stay, and be stored again",
            f"ALTER TABLE {table.name} ENGINE=InnoDB",
        )
    for column in table.columns:
        found = there.columns.get(column.name)
        if found is None:
            if is_missing(connection, table.name, column.name):
                yield _missing(table, column, there)
        elif column.computed is not None:
            if not found.generated:
                yield _not_computed(table, column)
        elif found.generated:
            yield _generated(table.name, column, found)
        elif table is not flash_sale_events and not _fits(column, found):
            yield TableProblem(
                True,
                f"{table.name}.{column.name} is {found.full_type}"
                f"{'' if found.nullable else ' NOT NULL'}, but must hold {_kind(column)}",
                alter(table.name, f"MODIFY COLUMN {_spelled(column)}"),
            )
    ours = {column.name for column in table.columns}
    for name, found in there.columns.items():
        if name not in ours and found.needs_value:
            yield TableProblem(
                True,
                f"{table.name} has a column {found.name} that is NOT NULL without a default, so "
                "every row would be rejected",
                alter(table.name, with_nulls(found)),
            )
    if table is flash_sale_events:
        yield from events_checks.inspect_events(there)
    else:
        yield from _lacking_keys(table, there)


def _lacking_keys(table: Table, there: TableFacts) -> Iterator[TableProblem]:
    for key in _keys(table):
        names = {column.name for column in key.columns}
        # A newer version may have added a column to it.
        if not any(names.issubset(map(str.lower, one)) for one in there.unique.values()):
            drop = f"DROP INDEX {key.name}, " if key.name in there.unique else ""
            yield TableProblem(
                True,
                f"{table.name} has no unique index over {', '.join(key.columns.keys())}, so it "
                "would store the same row twice",
                alter(table.name, drop + _added(key)),
            )


def _missing(table: Table, column: Column[object], there: TableFacts) -> TableProblem:
    spelled = _spelled(column)
    if column.autoincrement is True:
        key = "UNIQUE" if "PRIMARY" in there.unique else "PRIMARY KEY"
        spelled = f"{column.name} BIGINT NOT NULL AUTO_INCREMENT {key} FIRST"
    return TableProblem(
        True,
        f"{table.name} has no column {column.name}",
        alter(table.name, f"ADD COLUMN {spelled}"),
    )


def _generated(table: str, column: Column[object], there: ColumnFacts) -> TableProblem:
    hint = alter(table, f"MODIFY COLUMN {_spelled(column)}")
    if "virtual" in there.extra:
        # Its values are not stored, and no server converts it to a stored column.
        renewed = f"DROP COLUMN {column.name}, ADD COLUMN {_spelled(column)}"
        hint = f"{alter(table, renewed)}, and fill it with {there.generated}"
    return TableProblem(
        True, f"{table}.{column.name} is a generated column, which accepts no value", hint
    )


def _not_computed(table: Table, column: Column[object]) -> TableProblem:
    changes = [f"DROP COLUMN {column.name}", f"ADD COLUMN {_spelled(column)}"]
    for key in _keys(table):
        if column.name in key.columns:
            changes = [f"DROP INDEX {key.name}", *changes, _added(key)]
    return TableProblem(
        True,
        f"{table.name}.{column.name} must be a generated column",
        alter(table.name, ", ".join(changes)),
    )


def _keys(table: Table) -> list[PrimaryKeyConstraint | UniqueConstraint]:
    kinds = PrimaryKeyConstraint, UniqueConstraint
    return [one for one in table.constraints if isinstance(one, kinds)]


def _added(key: PrimaryKeyConstraint | UniqueConstraint) -> str:
    kind = "PRIMARY KEY" if isinstance(key, PrimaryKeyConstraint) else f"UNIQUE INDEX {key.name}"
    return f"ADD {kind} ({', '.join(key.columns.keys())})"


def _fits(column: Column[object], there: ColumnFacts) -> bool:
    """Whether a column of the app's own tables can hold every value the app stores in it."""
    ours = column.type
    if column.nullable and not there.nullable:
        return False
    name = type(ours).__name__.lower()
    length = getattr(ours, "length", None) or 0
    if name in ("integer", "biginteger"):
        least = 8 if name == "biginteger" else 4
        return _INTEGERS.get(there.type, 0) >= least
    if name in ("string", "varchar"):
        is_text = there.type in _TEXTS and events_checks.holds_all(there)
        return is_text and (there.length or 0) >= length
    if name in ("binary", "longblob"):
        least = length or 2**32 - 1
        return there.type in _BINARIES and (there.length or 0) >= least
    if name == "datetime":
        fraction = getattr(ours, "fsp", None) or 0
        return there.type in ("datetime", "timestamp") and (there.fraction or 0) >= fraction
    if name == "json":
        return there.type == "json" or there.type in _TEXTS
    return there.type == name


def _kind(column: Column[object]) -> str:
    return str(column.type.compile(_DIALECT)) + (" and nulls" if column.nullable else "")


def _spelled(column: Column[object]) -> str:
    """The column as DDL, including its character set."""
    spelled = str(CreateColumn(column).compile(dialect=_DIALECT))
    if spelled.startswith(f"{column.name} VARCHAR") and "CHARACTER SET" not in spelled:
        head, closed, tail = spelled.partition(")")
        spelled = f"{head}{closed} CHARACTER SET utf8mb4{tail}"
    return " ".join(spelled.split())
