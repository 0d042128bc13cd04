"""Which database server it is, and whether it answers."""

from sqlalchemy import Engine, text

from db.errors import classified


def check(engine: Engine) -> str:
    """Verify that the server answers; return its name and version.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        version = str(connection.scalar(text("SELECT VERSION()")))
    return version if "MariaDB" in version else f"MySQL {version}"
