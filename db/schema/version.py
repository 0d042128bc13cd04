"""Checks the schema's version and tables before work begins.

While a release is rolled out or back, workers of two versions share one schema. So a newer schema
is accepted if it has everything that this app uses.

Alembic is not imported here: it would cost a worker 10 MB.
"""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, column, func, inspect, select, table

from db.connection.errors import classified
from db.schema.checks import inspect_tables
from db.schema.problem import TableProblem
from pipeline.errors import FatalError

#: The newest migration's number, from its file's name. Versions compare as text.
VERSION = max(
    file.name.partition("_")[0]
    for file in Path(__file__).parent.parent.glob("migrations/versions/[0-9]*_*.py")
)

alembic_version = table("alembic_version", column("version_num"))


class Schema(NamedTuple):
    """The database's version, and the problems of its tables."""

    version: str
    problems: list[TableProblem]

    @property
    def is_newer(self) -> bool:
        """Whether a newer app has migrated it."""
        return self.version > VERSION


def check(engine: Engine) -> Schema:
    """Verify that the schema is at this app's version, or at a newer one.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        version = stored_version(connection)
        if version is None or version < VERSION:
            raise FatalError(
                f"The database's schema is at version {version or 'none'}, this app needs "
                f"{VERSION}: run `faust -A app migrate`."
            )
        return Schema(version, inspect_tables(connection))


def require_compatible(found: Schema) -> None:
    """Raise FatalError if a table is incompatible, with the statement that fixes it."""
    refusal = next((str(one) for one in found.problems if one.refused), None)
    if refusal and found.is_newer:
        raise FatalError(
            f"The database's schema is at version {found.version}, newer than this app's "
            f"{VERSION}, and incompatible: {refusal}; or run the newer app."
        )
    if refusal:
        raise FatalError(f"Incompatible table: {refusal}.")


def stored_version(connection: Connection) -> str | None:
    """The database's version; None before the first migration.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: a query failed.
    """
    if not inspect(connection).has_table(alembic_version.name):
        return None
    # Two migrations at once may have left a second, smaller version.
    version: str | None = connection.scalar(select(func.max(alembic_version.c.version_num)))
    return version
