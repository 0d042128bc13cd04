"""Bringing the schema to the newest version, with Alembic, one process at a time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from db.connection.errors import classified
from db.schema import event_index
from db.schema.changes import changes, relations
from db.schema.checks import inspect_tables
from db.schema.problem import TableProblem
from db.schema.version import VERSION, Schema, alembic_version, require_compatible, stored_version
from pipeline.errors import FatalError

# Alembic logs its dialect at INFO; the caller reports the version.
logging.getLogger("alembic").setLevel(logging.WARNING)

MIGRATIONS = Path(__file__).parent.parent / "migrations"

#: Seconds a statement may take: one that rebuilds a large table takes minutes.
IO_TIMEOUT = 6 * 3600
#: Seconds to wait for another migration of the same database.
LOCK_TIMEOUT = 600
#: Of these, seconds that one question to the server takes: less than any read timeout.
_QUESTION = 10

#: Of the database, as the server has one name space for all; MySQL takes 64 characters.
_LOCK = "LEFT(CONCAT('flash-sale-etl migrate ', DATABASE()), 64)"


class Migrated(NamedTuple):
    """The version before and after, what was changed, and the problems of the tables now."""

    before: str | None
    after: str
    changes: list[str]
    problems: list[TableProblem]


def migrate(engine: Engine) -> Migrated:
    """Bring the schema to the newest version. Existing tables are kept as they are.

    A schema that a newer app has migrated stays as it is.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with _alone(engine) as connection:
        return _bring_up(connection)


def make_index(engine: Engine) -> bool:
    """Make the index that DEDUPLICATE needs; return whether it was missing. May be run again.

    Raises:
        TransientError: the database is away.
        FatalError: ids stand more than once, or the server refuses it; nothing was changed.
    """
    with _alone(engine) as connection:
        return event_index.make(connection)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    try:
        with classified(), engine.connect() as connection:
            try:
                _wait_alone(connection)
                yield connection
            finally:
                # Not back into the pool: the lock ends with the session.
                connection.invalidate()
    except CommandError as error:
        raise FatalError(f"{error}: run `faust -A app migrate` again.") from error


def _bring_up(connection: Connection) -> Migrated:
    before = stored_version(connection)
    if before is not None and before > VERSION:
        newer = Schema(before, inspect_tables(connection))
        require_compatible(newer)
        return Migrated(before, before, [], newer.problems)
    if before is not None:
        column = alembic_version.c.version_num
        connection.execute(alembic_version.delete().where(column < before))
        connection.commit()
    if before == VERSION:
        return Migrated(before, before, [], inspect_tables(connection))
    found = relations(connection)
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, VERSION)
    connection.commit()
    return Migrated(before, VERSION, changes(connection, found), inspect_tables(connection))


def _wait_alone(connection: Connection) -> None:
    """Take the database's lock of migrations, which the connection's session holds until its end.

    Behind a proxy that shares sessions the lock may not work. Then two migrations run at once and
    may fail; but every step may be run again.
    """
    deadline = monotonic() + LOCK_TIMEOUT
    ask = text(f"SELECT GET_LOCK({_LOCK}, :seconds)")
    while not connection.scalar(ask, {"seconds": min(_QUESTION, LOCK_TIMEOUT)}):
        if monotonic() >= deadline:
            raise FatalError(
                f"Another `faust -A app migrate` has been at work on this database for more than "
                f"{LOCK_TIMEOUT} s, in the server's {_holder(connection)}: wait until it ends, or "
                f"end it there with KILL."
            )


def _holder(connection: Connection) -> str:
    """Who has the lock; another account's sessions are seen with the right PROCESS only."""
    session = connection.scalar(text(f"SELECT IS_USED_LOCK({_LOCK})"))
    for row in connection.execute(text("SHOW PROCESSLIST")).all():
        if row[0] == session:
            return f"connection {session} ({row[1]} from {row[2]})"
    return f"connection {session}"


def alembic_config() -> Config:
    """What Alembic needs to know."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
