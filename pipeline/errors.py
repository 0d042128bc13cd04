"""What a database error means for the events in hand.

Only errors listed as the row's fault may ever cost a row; only those listed as fatal end the
worker. Whatever is not listed is taken for passing trouble and tried again: waiting too long
can be mended, a lost event cannot. Codes: MySQL 8.4 and MariaDB 11 server error references.
"""

from pymysql.err import MySQLError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

import tls


class TransientError(Exception):
    """The database is away or busy: the same write may succeed later.

    Args:
        message: what it said.
        kind: in one word of few, for counting.
    """

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


class UntrustedError(TransientError):
    """TLS does not come about as the settings ask; the text says what to change."""


class RowError(Exception):
    """The database refuses a row of the batch, and would refuse it again."""


class FatalError(Exception):
    """Nothing the worker can wait for; the text says what to change."""


class OffsetGapError(FatalError):
    """Events between the stored offset and the batch were never seen: writing would lose them."""


#: What to change where statements of a transaction meet different sessions of the server.
ONE_SESSION = (
    "A proxy must keep all statements of a transaction in one session, set up as the client asks: "
    "turn off read/write splitting and multiplexing there, or have DATABASE_URL name the server"
)

_ROW = {
    1048,  # column cannot be null
    1062,  # duplicate entry
    1264,  # out of range
    1265,  # data truncated
    1292,  # incorrect datetime or number
    1364,  # no default value
    1366,  # incorrect string or number
    1406,  # data too long
    1452,  # foreign key fails
    1526,  # no partition for it
    1644,  # a trigger's SIGNAL
    3140,  # invalid JSON text (MySQL)
    3819,  # CHECK violated (MySQL)
    3903,  # JSON_TABLE value does not fit (MySQL)
    3904,  # JSON_TABLE value is an array or object (MySQL)
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
    1242: f"a statement of a transaction came to another session. {ONE_SESSION}",
    1471: "an insert goes to something that takes none: run `faust -A app check`",
    1698: "the login is refused: check the user and password in DATABASE_URL",
    1906: "a column computes its values itself: run `faust -A app check`",
    3105: "a column computes its values itself: run `faust -A app check`",
}

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
    "deadlock": {1213},
    "lock_wait": {1205},
    "too_many_connections": {1040, 1203},
    "read_only": {1290, 1792, 1836},
}


def classify(error: SQLAlchemyError | MySQLError | OSError) -> Exception:
    """Turn a driver's error into one of this module's, never quoting values or passwords."""
    if isinstance(error, PoolTimeoutError):
        return TransientError(
            f"all connections of this worker to the database are in use: {error.args[0]}",
            "connection",
        )
    origin = error.orig if isinstance(error, DBAPIError) else error
    arguments: tuple[object, ...] = getattr(origin, "args", ())
    code = arguments[0] if arguments and isinstance(arguments[0], int) else None
    message = str(arguments[-1]) if len(arguments) > 1 else type(origin).__name__
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
