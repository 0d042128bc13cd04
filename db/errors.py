"""What a database error means for the events in hand.

Only errors listed as the row's fault may ever cost a row; only those listed as fatal end the
worker. Any other error is taken for transient and retried: waiting too long can be put right, a
lost event cannot. If it comes back, the event at fault is searched for in the batch and named
(``pipeline.search``). Codes: MySQL 8.4 and MariaDB 11 server error references.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from config import tls
from db.driver import MySQLError
from pipeline.errors import TOO_LARGE, FatalError, RowError, TransientError, UntrustedError

#: What to change where statements of a transaction meet different sessions of the server.
ONE_SESSION = (
    "A proxy must keep all statements of a transaction in one session, set up as the client asks: "
    "turn off read/write splitting and multiplexing there, or have DATABASE_URL name the server"
)

# Each says that a value of the row does not fit, be it in a column, a CHECK, a generated column, an
# index or a trigger, and each undoes its statement alone. A row is given up only where a statement
# of it alone fails.
_ROW = {
    1022,  # duplicate key, in words without the key
    1048,  # column cannot be null
    1062,  # duplicate entry
    1118,  # row too large for a page, together with columns of the table's owner
    1216,  # foreign key fails, in words without the key
    1264,  # out of range
    1265,  # data truncated
    1292,  # incorrect datetime or number
    1300,  # invalid character string: what an expression makes of the value
    1364,  # no default value
    1365,  # division by zero in an expression
    1366,  # incorrect string or number
    1367,  # a number that the server cannot take
    1369,  # CHECK OPTION of a view
    1406,  # data too long
    1411,  # value of a wrong type for a function in an expression
    1441,  # datetime out of range in an expression
    1452,  # foreign key fails
    1526,  # no partition for the value
    1586,  # duplicate entry, in words with the key
    1644,  # a trigger's SIGNAL
    1690,  # out of range in an expression
    1748,  # no partition for the value, of those named
    3140,  # invalid JSON text (MySQL)
    3156,  # JSON value cannot be cast in an expression (MySQL)
    3751,  # data truncated for a functional index (MySQL)
    3752,  # out of range for a functional index (MySQL)
    3819,  # CHECK violated (MySQL)
    4025,  # CHECK violated (MariaDB)
}

_FATAL = {
    1044: "the account may not use the database: grant it, or change DATABASE_URL",
    1045: "the login is refused: check the user and password in DATABASE_URL",
    1049: "the database does not exist: create it, or change DATABASE_URL",
    1054: "a column is missing: run `faust -A app migrate`",
    1142: "the account lacks a right on a table: grant SELECT, INSERT, UPDATE and DELETE",
    1143: "the account lacks a right on a column: grant SELECT, INSERT, UPDATE and DELETE",
    1146: "a table is missing: run `faust -A app migrate`",
    1242: f"a statement of a transaction ran in another session. {ONE_SESSION}",
    1471: "an insert goes to something that takes none: run `faust -A app check`",
    1449: "the definer of a trigger or view is gone: create that account, or recreate it",
    1598: "the binary log cannot take the write: set binlog_format = ROW on the server",
    1665: "the binary log cannot take the write: set binlog_format = ROW on the server",
    1698: "the login is refused: check the user and password in DATABASE_URL",
    1906: "a column computes its values itself: run `faust -A app check`",
    3105: "a column computes its values itself: run `faust -A app check`",
}

_SYNTAX = 1064
#: The client's own code for TLS that was asked for and is not offered.
_NO_TLS = 2026
_UNTRUSTED = {
    tls.EXPIRED: "renew it there",
    tls.NOT_YET_VALID: "look at the clocks here and there",
    tls.OTHER_HOST: "change the host in DATABASE_URL, or add the option ssl_verify_identity=false",
    tls.NOT_TRUSTED: "put the authority that signed it into DATABASE_CA, or the option ssl_ca",
}

_KINDS = {
    "connection": {0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055, 4031},
    # 1467: no id for a row, where another load of the table holds them and waits for this one.
    "deadlock": {1213, 1467},
    "lock_wait": {1205, 3572},
    "too_many_connections": {1040, 1203},
    "read_only": {1036, 1290, 1792, 1836},
    # No room on disk or in memory, or what is there cannot be written (1030: see the message).
    "resources": {1021, 1030, 1037, 1038, 1041, 1114, 1436, 1637, 1878, 3170},
    # A cluster whose member may not take writes now (1047 of Galera), or undid one (3101).
    "cluster": {1047, 3032, 3101, 3168},
    # Someone or some limit ended the statement.
    "interrupted": {1028, 1317, 1969, 3024},
    # The write as a whole: for a packet, the binary log's cache, locks, or a group's limit. MySQL's
    # group replication says 3100 of a transaction that is too large, and of other errors as well.
    TOO_LARGE: {1153, 1197, 1206, 3100, 3231},
}


@contextmanager
def classified() -> Iterator[None]:
    """Raise ``classify(error)`` in place of any error of the driver or of SQLAlchemy."""
    try:
        yield
    except (SQLAlchemyError, MySQLError, OSError) as error:
        raise classify(error) from error


def classify(error: SQLAlchemyError | MySQLError | OSError) -> Exception:
    """Turn a driver's error into one of ``pipeline.errors``, never quoting values or passwords."""
    if isinstance(error, PoolTimeoutError):
        return TransientError(
            f"all connections of this worker to the database are in use: {error.args[0]}",
            "connection",
        )
    origin = error.orig if isinstance(error, DBAPIError) else error
    arguments: tuple[object, ...] = getattr(origin, "args", ())
    code = arguments[0] if arguments and isinstance(arguments[0], int) else None
    message = str(arguments[-1]) if len(arguments) > 1 else type(origin).__name__
    if code == _SYNTAX:
        # What follows is a piece of the statement, so of an event.
        message = message.partition(" near '")[0]
    if code in _ROW:
        return RowError(message)
    if code in _FATAL:
        return FatalError(f"MySQL error {code}: {_FATAL[code]}.")
    if code == _NO_TLS:
        return UntrustedError(
            "The database offers no TLS: turn it on there, or drop DATABASE_CA and the options of "
            "DATABASE_URL that ask for it."
        )
    if refusal := tls.refusal(error):
        return UntrustedError(f"The database's certificate {refusal}: {_UNTRUSTED[refusal]}.")
    if code is None:
        return TransientError(message, "connection")
    kind = next((kind for kind, codes in _KINDS.items() if code in codes), "other")
    return TransientError(f"MySQL error {code}: {message}" if code else message, kind)
