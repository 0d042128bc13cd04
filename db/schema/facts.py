"""The existing tables, as information_schema describes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, text
from sqlalchemy.exc import DBAPIError

from db.schema.sales_tables import flash_sale_events
from db.schema.tables import metadata

#: information_schema omits what the account has no rights on, without an error.
_TABLES = """
    SELECT t.TABLE_NAME AS name, t.TABLE_TYPE AS kind, t.ENGINE AS engine,
        e.TRANSACTIONS AS transactions
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME IN :ours
"""
#: Names only, so that the server need not open the tables.
_NAMESAKES = """
    SELECT TABLE_NAME AS name FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND LOWER(TABLE_NAME) = :events
"""
_COLUMNS = """
    SELECT TABLE_NAME AS of_table, COLUMN_NAME AS name, DATA_TYPE AS type, COLUMN_TYPE AS full_type,
        IS_NULLABLE AS nullable, COLUMN_DEFAULT AS default_value, EXTRA AS extra,
        GENERATION_EXPRESSION AS formula, CHARACTER_SET_NAME AS charset,
        COLLATION_NAME AS collation_name, CHARACTER_MAXIMUM_LENGTH AS length,
        NUMERIC_PRECISION AS digits, NUMERIC_SCALE AS scale, DATETIME_PRECISION AS fraction
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :ours
    ORDER BY ORDINAL_POSITION
"""
_KEYS = """
    SELECT TABLE_NAME AS of_table, INDEX_NAME AS name, COLUMN_NAME AS of_column
    FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :ours AND NON_UNIQUE = 0
    ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
"""
_TRIGGERS = """
    SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = :events
        AND EVENT_MANIPULATION = 'INSERT'
"""
_CONSTRAINTS = """
    SELECT CONSTRAINT_NAME AS name, CONSTRAINT_TYPE AS kind
    FROM information_schema.TABLE_CONSTRAINTS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :events
        AND CONSTRAINT_TYPE IN ('CHECK', 'FOREIGN KEY')
"""
_PARTITIONS = """
    SELECT PARTITION_METHOD AS method, PARTITION_DESCRIPTION AS bound
    FROM information_schema.PARTITIONS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :events AND PARTITION_NAME IS NOT NULL
"""
#: Error codes for what does not exist, as opposed to what the account may not see.
_MISSING = {1054, 1146}


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column: ``type`` without its size, ``full_type`` with it.

    ``length`` counts characters of a text and bytes of a binary; ``scale`` is the number of decimal
    places, ``fraction`` that of a second's. None where the type has no such property.
    """

    name: str
    type: str
    full_type: str
    nullable: bool
    default: str | None
    extra: str
    generated: str
    charset: str | None
    collation: str | None
    length: int | None
    digits: int | None
    scale: int | None
    fraction: int | None

    @property
    def unsigned(self) -> bool:
        """Whether it rejects negative numbers."""
        return "unsigned" in self.full_type

    @property
    def numbers_itself(self) -> bool:
        """Whether it is AUTO_INCREMENT."""
        return "auto_increment" in self.extra

    @property
    def needs_value(self) -> bool:
        """Whether an insert without a value for it is rejected."""
        # An ENUM defaults to its first value.
        given = self.default is not None or self.generated or self.numbers_itself
        return not (self.nullable or given or self.type == "enum")


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table; for the events table, with everything else that affects an insert.

    ``transactional`` is None if unknown. ``unique`` has each unique index's columns by its name,
    ``namesakes`` the tables whose names differ only in case, and ``last_id`` the largest id if the
    column may run full.
    """

    name: str
    is_view: bool
    engine: str | None
    transactional: bool | None
    columns: dict[str, ColumnFacts]
    unique: dict[str, list[str]] = field(default_factory=dict)
    triggers: Sequence[str] = ()
    constraints: Sequence[tuple[str, str]] = ()
    partitions: Sequence[tuple[str, str | None]] = ()
    last_id: int | None = None
    namesakes: Sequence[str] = ()


def read_facts(connection: Connection) -> dict[str, TableFacts]:
    """Those of our tables that the account may see, by name.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: a query failed.
    """
    columns: dict[str, dict[str, ColumnFacts]] = {}
    for row in _ask(connection, _COLUMNS):
        columns.setdefault(row.of_table, {})[row.name.lower()] = _column(row)
    unique: dict[str, dict[str, list[str]]] = {}
    for row in _ask(connection, _KEYS):
        # MySQL names no column for an expression.
        names = unique.setdefault(row.of_table, {}).setdefault(row.name, [])
        names.append(row.of_column or "an expression")
    found = {}
    for row in _ask(connection, _TABLES):
        rest = {}
        if row.name == flash_sale_events.name and row.kind != "VIEW":
            rest = _of_events(connection, columns.get(row.name, {}))
        found[row.name] = TableFacts(
            name=row.name,
            is_view=row.kind == "VIEW",
            engine=row.engine,
            transactional=row.transactions == "YES" if row.transactions else None,
            columns=columns.get(row.name, {}),
            unique=unique.get(row.name, {}),
            **rest,
        )
    return found


def is_missing(connection: Connection, table: str, column: str = "1") -> bool:
    """Whether a table or column that the account cannot see is missing; False if unknown.

    Args:
        connection: to the database.
        table, column: names of our own.
    """
    try:
        connection.execute(text(f"SELECT {column} FROM {table} WHERE 1 = 0"))  # noqa: S608
    except DBAPIError as error:
        return error.orig is not None and error.orig.args[0] in _MISSING
    return False


def _of_events(connection: Connection, columns: dict[str, ColumnFacts]) -> dict[str, Any]:
    return {
        "triggers": [row.name for row in _ask(connection, _TRIGGERS)],
        "constraints": [(row.kind, row.name) for row in _ask(connection, _CONSTRAINTS)],
        "partitions": [(row.method, row.bound) for row in _ask(connection, _PARTITIONS)],
        "last_id": _last_id(connection, columns),
        "namesakes": [
            row.name for row in _ask(connection, _NAMESAKES) if row.name != flash_sale_events.name
        ],
    }


def _last_id(connection: Connection, columns: dict[str, ColumnFacts]) -> int | None:
    if "id" not in columns or columns["id"].type == "bigint":
        return None
    query = f"SELECT COALESCE(MAX(id), 0) FROM {flash_sale_events.name}"  # noqa: S608
    try:
        found: int | None = connection.scalar(text(query))
    except DBAPIError:
        # The account may have INSERT without SELECT.
        return None
    return found


def _ask(connection: Connection, query: str) -> Iterable[Row[Any]]:
    if ":ours" in query:
        ours: BindParameter[list[str]] = bindparam("ours", list(metadata.tables), expanding=True)
        return connection.execute(text(query).bindparams(ours)).all()
    return connection.execute(text(query), {"events": flash_sale_events.name}).all()


def _column(row: Row[Any]) -> ColumnFacts:
    return ColumnFacts(
        name=row.name,
        type=row.type.lower(),
        full_type=row.full_type,
        nullable=row.nullable == "YES",
        default=row.default_value,
        extra=row.extra.lower(),
        generated=row.formula or "",
        charset=row.charset,
        collation=row.collation_name,
        length=row.length,
        digits=row.digits,
        scale=row.scale,
        fraction=row.fraction,
    )
