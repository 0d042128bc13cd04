"""Bringing the schema to the newest version, with Alembic."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db.schema import VERSION, stored_version
from pipeline.errors import classify

# Alembic tells at INFO which dialect it found; the version is told by those who call.
logging.getLogger("alembic").setLevel(logging.WARNING)

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to the newest version; answer the version before and the one after.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    try:
        with engine.connect() as connection:
            before = stored_version(connection)
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, VERSION)
            connection.commit()
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    return before, VERSION


def alembic_config() -> Config:
    """What Alembic needs to know."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
