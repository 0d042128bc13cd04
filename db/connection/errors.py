"""What a database error means for the events in hand.

Only errors listed as the row's fault may ever cost a row; only those listed as fatal end the
worker. Any other error is taken for transient and retried: waiting too long can be put right, a
lost event cannot. If it comes back and no list knows it, the batch is bisected, and an event is
named only where others can be stored (``pipeline.search``). Codes: `db.connection.error_codes`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from config import tls
from db.connection.driver import MySQLError
from db.connection.error_codes import FATAL, HINTS, LARGE, LOGIN, PASSING, ROW
from db.connection.missing_rights import missing_right
from pipeline.errors import TOO_LARGE, FatalError, LoginError, RowError, TransientError

#: What to change where statements of a transaction meet different sessions of the server.
ONE_SESSION = (
    "A proxy must keep all statements of a transaction in one session, set up as the client asks: "
    "turn off read/write splitting and multiplexing there, or have DATABASE_URL name the server"
)

_BINLOG = "the binary log cannot take the write: set binlog_format = ROW on the server"
_NOT_OURS = "a column computes its values itself: run `faust -A app check`"
_WHAT_TO_CHANGE = {
    1054: "a column is missing: run `faust -A app migrate`",
    1146: "a table is missing: run `faust -A app migrate`",
    1242: f"a statement of a transaction ran in another session. {ONE_SESSION}",
    1449: "the definer of a trigger or view is gone: create that account, or recreate it",
    1471: "an insert goes to something that takes none: run `faust -A app check`",
    1598: _BINLOG,
    1665: _BINLOG,
    1906: _NOT_OURS,
    3105: _NOT_OURS,
}
_CREDENTIALS = "the login is refused: check the user and password in DATABASE_URL"
_LOGIN_HINTS = {
    1044: "the account may not use the database{name}: create it if it is missing, grant the "
    "rights of docs/database.md#accounts, or change DATABASE_URL",
    1045: _CREDENTIALS,
    1049: "the database{name} does not exist: create it, or change DATABASE_URL",
    1129: "the server blocks this host after many errors: run `mysqladmin flush-hosts` there",
    1130: "the server has no account for this host: create one, or change DATABASE_URL",
    1698: _CREDENTIALS,
    1820: "the account's password has expired: change it, and DATABASE_URL",
    1862: "the account's password has expired: change it, and DATABASE_URL",
    3118: "the account is locked: unlock it, or change DATABASE_URL",
    3159: "the server requires TLS: add the option ssl_mode=REQUIRED to DATABASE_URL",
    3955: "the account is blocked after failed logins: unlock it, or change DATABASE_URL",
    4150: "the account is blocked after failed logins: unlock it, or change DATABASE_URL",
    4151: "the account is locked: unlock it, or change DATABASE_URL",
}
#: The end of what both servers say of a database.
_DATABASE = re.compile(r"database '(.*)'$")
_OTHER_LOGIN = "the server does not accept how the account logs in: change the account's plugin"

_SYNTAX = 1064
#: The client's own code for TLS that was asked for and is not offered.
_NO_TLS = 2026
_UNTRUSTED = {
    tls.EXPIRED: "renew it there",
    tls.NOT_YET_VALID: "look at the clocks here and there",
    tls.OTHER_HOST: "change the host in DATABASE_URL, or add the option ssl_verify_identity=false",
    tls.NOT_TRUSTED: "put the authority that signed it into DATABASE_CA, or the option ssl_ca",
}

_KINDS = {code: kind for kind, codes in {**PASSING, TOO_LARGE: LARGE}.items() for code in codes}


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
    if code in ROW:
        return RowError(message)
    if code in LOGIN:
        found = _DATABASE.search(message)
        sentence = _LOGIN_HINTS.get(code, _OTHER_LOGIN)
        return LoginError(
            f"MySQL error {code}: {sentence.format(name=f' {found[1]}' if found else '')}."
        )
    if code in FATAL:
        return FatalError(
            f"MySQL error {code}: {_WHAT_TO_CHANGE.get(code) or missing_right(message)}."
        )
    if code == _NO_TLS:
        return LoginError(
            "The database offers no TLS: turn it on there, or drop DATABASE_CA and the options of "
            "DATABASE_URL that ask for it."
        )
    if refusal := tls.refusal(error):
        return LoginError(f"The database's certificate {refusal}: {_UNTRUSTED[refusal]}.")
    if code is None:
        return TransientError(message, "connection", is_away=True)
    return TransientError(
        f"MySQL error {code}: {message}" if code else message,
        _KINDS.get(code, "other"),
        is_away=code == 0 or 2000 <= code < 3000,
    )


def advice(error: TransientError) -> str:
    """What to do about an error that lasts."""
    if not error.is_away:
        return HINTS.get(error.kind, HINTS["other"])
    if "timed out" in str(error):
        return "look for a firewall in between, start the database, or change DATABASE_URL"
    return "start the database, or change DATABASE_URL"
