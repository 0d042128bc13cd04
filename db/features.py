"""Which server it is, for those who look whether a worker would run."""

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.errors import classify


def check(engine: Engine) -> str:
    """See that the server answers; answer its name and version.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    try:
        with engine.connect() as connection:
            version = str(connection.scalar(text("SELECT VERSION()")))
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    return version if "MariaDB" in version else f"MySQL {version}"
