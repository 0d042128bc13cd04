"""A table's problem, and the SQL that fixes it."""

from dataclasses import dataclass

from db.schema.facts import ColumnFacts


@dataclass(frozen=True, slots=True)
class TableProblem:
    """What was found, and the statement that fixes it; ``refused``: workers do not start."""

    refused: bool
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.found}: {self.hint}"


def alter(table: str, change: str) -> str:
    """The statement that changes a table."""
    return f"ALTER TABLE {table} {change}"


def quoted(name: str) -> str:
    """A name that is not ours, quoted for SQL."""
    return f"`{name.replace('`', '``')}`"


def with_nulls(column: ColumnFacts) -> str:
    """The change that makes a column nullable and nothing else."""
    charset = (
        f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""
    )
    return f"MODIFY COLUMN {quoted(column.name)} {column.full_type}{charset} NULL"
