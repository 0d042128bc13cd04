"""The schema's version: brought to the newest by Alembic, and looked up before work begins."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db.errors import FatalError, classify

# Alembic tells at INFO which dialect it found; the version is told by those who call.
logging.getLogger("alembic").setLevel(logging.WARNING)

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to the newest version; answer the version before and the one after.

    Raises:
        TransientError, FatalError: see ``db.errors``.
    """
    try:
        with engine.connect() as connection:
            before = _version(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    return before, newest()


def check(engine: Engine) -> None:
    """Raise FatalError unless the schema is at the newest version.

    Raises:
        TransientError, FatalError: see ``db.errors``.
    """
    try:
        with engine.connect() as connection:
            version = _version(connection)
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    if version != newest():
        raise FatalError(
            f"The database's schema is at version {version or 'none'}, this app needs "
            f"{newest()}: run `faust -A app migrate`."
        )


def newest() -> str:
    """The newest version's name."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def _version(connection) -> str | None:  # type: ignore[no-untyped-def]
    return MigrationContext.configure(connection).get_current_revision()
