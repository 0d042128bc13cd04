"""Upgrades the schema to the newest version with Alembic, one process at a time."""

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

#: Maximum seconds of a statement: rebuilding a large table takes minutes or more.
IO_TIMEOUT = 6 * 3600
#: Seconds to wait for another migration of the same database.
LOCK_TIMEOUT = 600
#: Seconds of one attempt to get the lock: less than any read timeout.
_ATTEMPT = 10

#: Contains the database's name, because locks are global to the server; up to 64 characters.
_LOCK = "LEFT(CONCAT('flash-sale-etl migrate ', DATABASE()), 64)"


class Migrated(NamedTuple):
    """The version before and after, what changed, and remaining problems of the tables."""

    before: str | None
    after: str
    changes: list[str]
    problems: list[TableProblem]


def migrate(engine: Engine) -> Migrated:
    """Upgrade the schema to the newest version. Existing tables are kept.

    A schema migrated by a newer app is left alone.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with _alone(engine) as connection:
        return _bring_up(connection)


def make_index(engine: Engine) -> bool:
    """Create the index that DEDUPLICATE needs; return whether it was missing. Safe to run again.

    Raises:
        TransientError: the database is away.
        FatalError: ids are not unique, or the server refuses the index; nothing was changed.
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
                # End the session, and with it the lock, instead of returning it to the pool.
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
    """Take the lock for migrations, which the session holds until it ends.

    Behind a proxy that shares sessions the lock may not work. Then two migrations may run at once
    and fail, but every step can be run again.
    """
    deadline = monotonic() + LOCK_TIMEOUT
    ask = text(f"SELECT GET_LOCK({_LOCK}, :seconds)")
    while not connection.scalar(ask, {"seconds": min(_ATTEMPT, LOCK_TIMEOUT)}):
        if monotonic() >= deadline:
            raise FatalError(
                f"Another `faust -A app migrate` has been running on this database for more than "
                f"{LOCK_TIMEOUT} s, in the server's {_holder(connection)}: wait until it ends, or "
                f"end it there with KILL."
            )


def _holder(connection: Connection) -> str:
    """Who has the lock. Other accounts' sessions are visible only with the right PROCESS."""
    session = connection.scalar(text(f"SELECT IS_USED_LOCK({_LOCK})"))
    for row in connection.execute(text("SHOW PROCESSLIST")).all():
        if row[0] == session:
            return f"connection {session} ({row[1]} from {row[2]})"
    return f"connection {session}"


def alembic_config() -> Config:
    """Alembic's configuration."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
