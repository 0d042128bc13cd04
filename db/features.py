"""What the server must be able to do, tried out: a version's number does not tell enough."""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pipeline.errors import FatalError, classify

#: MariaDB 10.5 and MySQL 5.7 do not know the function; MySQL 8.0.15 makes the word of the null.
_NULL = text(
    "SELECT value IS NULL FROM JSON_TABLE('[[null]]', '$[*]' COLUMNS "
    "(value VARCHAR(9) CHARACTER SET utf8mb4 PATH '$[0]' ERROR ON ERROR)) AS r"
)
_SYNTAX_ERROR = 1064


def check(engine: Engine) -> str:
    """See that rows can be stored as they are; answer the server's name and version.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    try:
        with engine.connect() as connection:
            name = _name(connection)
            keeps_nulls = _keeps_nulls(connection, name)
    except (SQLAlchemyError, OSError) as error:
        raise classify(error) from error
    if not keeps_nulls:
        raise FatalError(
            f"{name} would store the word null where an event has none: use a newer one."
        )
    return name


def _keeps_nulls(connection: Connection, name: str) -> bool:
    try:
        return bool(connection.scalar(_NULL))
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[0] == _SYNTAX_ERROR:
            raise FatalError(
                f"{name} has no JSON_TABLE: use MariaDB 10.6, MySQL 8.0, or newer."
            ) from error
        raise


def _name(connection: Connection) -> str:
    version = str(connection.scalar(text("SELECT VERSION()")))
    return version if "MariaDB" in version else f"MySQL {version}"
