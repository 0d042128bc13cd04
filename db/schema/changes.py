"""Reports what a migration did, by comparing the database before and after.

Noting each step would not do: a migration that was killed and is run again finds some steps done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, text

from db.schema.sales_tables import flash_sale_events

_RELATIONS = """
    SELECT t.TABLE_NAME AS name, v.VIEW_DEFINITION AS query
    FROM information_schema.TABLES t LEFT JOIN information_schema.VIEWS v
        ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME
    WHERE t.TABLE_SCHEMA = DATABASE()
"""
_COLUMNS = """
    SELECT TABLE_NAME AS relation, COLUMN_NAME AS name FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() ORDER BY ORDINAL_POSITION
"""
_INDEXES = """
    SELECT TABLE_NAME AS relation, INDEX_NAME AS name, COLUMN_NAME AS part
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY SEQ_IN_INDEX
"""
_ROW_ESTIMATE = """
    SELECT TABLE_ROWS FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :name
"""
#: Tables with at most this many rows, by the server's estimate, are counted: a second or two.
_COUNTED = 2_000_000
#: Alembic's own table.
_VERSIONS = "alembic_version"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view: its columns, its indexes with their columns, and a view's query."""

    columns: tuple[str, ...]
    indexes: frozenset[tuple[str, tuple[str | None, ...]]]
    query: str | None


#: By name.
Relations: TypeAlias = Mapping[str, Relation]


def relations(connection: Connection) -> Relations:
    """All tables and views of the database that the account may see."""
    columns: dict[str, list[str]] = {}
    for row in connection.execute(text(_COLUMNS)):
        columns.setdefault(row.relation, []).append(row.name)
    indexes: dict[str, dict[str, list[str | None]]] = {}
    for row in connection.execute(text(_INDEXES)):
        # None if MySQL indexes an expression.
        indexes.setdefault(row.relation, {}).setdefault(row.name, []).append(row.part)
    return {
        row.name: Relation(
            tuple(columns.get(row.name, ())),
            frozenset((name, tuple(parts)) for name, parts in indexes.get(row.name, {}).items()),
            row.query,
        )
        for row in connection.execute(text(_RELATIONS))
        if row.name != _VERSIONS
    }


def changes(connection: Connection, before: Relations) -> list[str]:
    """A sentence about each changed table and view, the events table first.

    Args:
        connection: to the migrated database.
        before: from ``relations``, before the migration.
    """
    after = relations(connection)
    said = []
    for name in sorted(after, key=lambda name: (name != flash_sale_events.name, name)):
        old, new = before.get(name), after[name]
        kind = "table" if new.query is None else "view"
        if old is None:
            said.append(f"{name}: {kind} created")
        elif difference := _difference(old, new):
            rows = f", {_rows(connection, name)} kept" if kind == "table" else ""
            said.append(f"{name}: {difference}{rows}")
        elif name == flash_sale_events.name:
            said.append(f"{name}: unchanged, {_rows(connection, name)} kept")
    return said + [f"{name}: dropped" for name in sorted(before.keys() - after.keys())]


def _difference(old: Relation, new: Relation) -> str:
    if new.query is not None:
        return "" if old == new else "view replaced"
    parts = [
        f"{kind} {', '.join(names)} {done}"
        for kind, done, names in (
            ("column", "added", [name for name in new.columns if name not in old.columns]),
            ("column", "dropped", [name for name in old.columns if name not in new.columns]),
            ("index", "created", sorted(name for name, _ in new.indexes - old.indexes)),
            ("index", "dropped", sorted({n for n, _ in old.indexes} - {n for n, _ in new.indexes})),
        )
        if names
    ]
    return ", ".join(parts)


def _rows(connection: Connection, name: str) -> str:
    quoted = connection.dialect.identifier_preparer.quote(name)
    estimate = connection.scalar(text(_ROW_ESTIMATE), {"name": name})
    if (estimate or 0) > _COUNTED:
        return f"about {estimate:,} rows"
    number = connection.scalar(text(f"SELECT COUNT(*) FROM {quoted}"))  # noqa: S608
    return f"{number:,} row" if number == 1 else f"{number:,} rows"
