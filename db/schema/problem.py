"""A problem of a table, and how the statement that fixes it is spelled."""

from dataclasses import dataclass

from db.schema.facts import ColumnFacts


@dataclass(frozen=True, slots=True)
class TableProblem:
    """What was found, and the statement that fixes it; ``refused``: no worker starts on it."""

    refused: bool
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.found}: {self.hint}"


def alter(table: str, change: str) -> str:
    """The statement that changes a table."""
    return f"ALTER TABLE {table} {change}"


def quoted(name: str) -> str:
    """A name that is not ours, as SQL has it."""
    return f"`{name.replace('`', '``')}`"


def with_nulls(column: ColumnFacts) -> str:
    """The change that lets a column hold nulls and leaves it as it is otherwise."""
    charset = (
        f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""
    )
    return f"MODIFY COLUMN {quoted(column.name)} {column.full_type}{charset} NULL"
