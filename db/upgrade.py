"""Bringing the schema to the newest version, with Alembic."""

import logging
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db.schema import VERSION, stored_version
from db.table_checks import look_at_tables
from db.table_finding import TableFinding
from pipeline.errors import classify

# Alembic tells at INFO which dialect it found; the version is told by those who call.
logging.getLogger("alembic").setLevel(logging.WARNING)

MIGRATIONS = Path(__file__).parent / "migrations"


class Migrated(NamedTuple):
    """The version before and after, and what there is to say of the tables now."""

    before: str | None
    after: str
    findings: list[TableFinding]


def migrate(engine: Engine) -> Migrated:
    """Bring the schema to the newest version. Tables that are there are taken over as they are.

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
            return Migrated(before, VERSION, look_at_tables(connection))
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error


def alembic_config() -> Config:
    """What Alembic needs to know."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
