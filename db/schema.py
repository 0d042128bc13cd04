"""The schema's version, looked up before work begins.

Without Alembic, which a worker has no use for: it would cost it 10 MB.
"""

from sqlalchemy import Connection, Engine, column, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import FatalError, classify

#: The newest migration's name; a test keeps both alike.
VERSION = "0003"

_alembic_version = table("alembic_version", column("version_num"))


def check(engine: Engine) -> None:
    """Raise FatalError unless the schema is at the newest version.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    try:
        with engine.connect() as connection:
            version = stored_version(connection)
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    if version != VERSION:
        raise FatalError(
            f"The database's schema is at version {version or 'none'}, this app needs "
            f"{VERSION}: run `faust -A app migrate`."
        )


def stored_version(connection: Connection) -> str | None:
    """The database's version; None before the first migration.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be told.
    """
    if not inspect(connection).has_table(_alembic_version.name):
        return None
    version: str | None = connection.scalar(select(_alembic_version.c.version_num))
    return version
