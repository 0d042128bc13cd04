"""Classifies database errors: what do they mean for the events of a write?

Only an error listed as the row's fault can drop a row, and only one listed as fatal ends the
worker. Every other error counts as transient and is retried, because a delay can be corrected and
a lost event cannot. If an unlisted error keeps coming back, the batch is bisected; an event is
blamed only if others can be stored (``pipeline.flush.search``). Codes: `db.connection.error_codes`.
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

#: What to change if the statements of a transaction reach different sessions of the server.
ONE_SESSION = (
    "A proxy must keep all statements of a transaction in one session and not change its "
    "variables: turn off read/write splitting and multiplexing there, or point DATABASE_URL to "
    "the server itself"
)

_BINLOG = "the binary log cannot take the write: set binlog_format = ROW on the server"
_GENERATED = "a column is a generated one: run `faust -A app check`"
_WHAT_TO_CHANGE = {
    1054: "a column is missing: run `faust -A app migrate`",
    1146: "a table is missing: run `faust -A app migrate`",
    1242: f"a statement of a transaction ran in another session. {ONE_SESSION}",
    1449: "the definer of a trigger or view is gone: create that account, or recreate it",
    1471: "a table does not accept inserts: run `faust -A app check`",
    1598: _BINLOG,
    1665: _BINLOG,
    1906: _GENERATED,
    3105: _GENERATED,
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
#: The end of both servers' messages about a database.
_DATABASE = re.compile(r"database '(.*)'$")
_OTHER_LOGIN = "the server does not accept how the account logs in: change the account's plugin"

_SYNTAX = 1064
#: The client's own code for "TLS was requested but is not offered".
_NO_TLS = 2026
_UNTRUSTED = {
    tls.EXPIRED: "renew it there",
    tls.NOT_YET_VALID: "check the clocks of both machines",
    tls.OTHER_HOST: "change the host in DATABASE_URL, or add the option ssl_verify_identity=false",
    tls.NOT_TRUSTED: "put the CA that signed it into DATABASE_CA, or the option ssl_ca",
}

_KINDS = {code: kind for kind, codes in {**PASSING, TOO_LARGE: LARGE}.items() for code in codes}


@contextmanager
def classified() -> Iterator[None]:
    """Replace errors of the driver and of SQLAlchemy by ``classify(error)``."""
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
        # The rest quotes the statement, and with it an event.
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
            "The database offers no TLS: turn it on there, or remove DATABASE_CA and the TLS "
            "options of DATABASE_URL."
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
    """What to do about an error that persists."""
    if not error.is_away:
        return HINTS.get(error.kind, HINTS["other"])
    if "timed out" in str(error):
        return "check for a firewall in between, start the database, or change DATABASE_URL"
    return "start the database, or change DATABASE_URL"
