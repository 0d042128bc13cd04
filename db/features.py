"""Which server it is, for those who look whether a worker would run."""

from sqlalchemy import Engine, text

from db.errors import classified


def check(engine: Engine) -> str:
    """See that the server answers; answer its name and version.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        version = str(connection.scalar(text("SELECT VERSION()")))
    return version if "MariaDB" in version else f"MySQL {version}"
