"""An outage must never cost a row; a bad row must never stop the rest."""

import pytest
from pymysql.constants import CR, ER
from pymysql.err import DataError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import DBAPIError

from db.connection.error_codes import FATAL, HINTS, JUDGED, LARGE, LOGIN, PASSING, ROW
from db.connection.errors import advice, classify
from pipeline.errors import (
    SEARCHED,
    TOO_LARGE,
    DatabaseTrouble,
    FatalError,
    LoginError,
    RowError,
    TransientError,
)

#: Every code that passes by itself or is judged, with the kind it is counted as.
KINDS = [
    *((code, kind) for kind, codes in PASSING.items() for code in codes),
    *((code, TOO_LARGE) for code in LARGE),
    *((code, "other") for code in (*JUDGED, 9999)),
]
#: As both servers name an account.
HERE = "'u'@'127.0.0.1'"


def wrapped(error):
    return DBAPIError.instance("INSERT …", None, error, Exception)


def said(code, message="Access denied … (using password: YES)"):
    return classify(wrapped(OperationalError(code, message)))


def test_each_code_is_in_one_class():
    classes = [ROW, *PASSING.values(), LARGE, LOGIN, FATAL, JUDGED]
    codes = [code for one in classes for code in one]
    assert len(codes) == len(set(codes))
    assert len(KINDS) >= 60


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_outage_is_transient(code, kind):
    error = said(code, "words of the server")
    assert type(error) is TransientError
    assert "words of the server" in str(error)
    assert error.kind == kind
    assert advice(error)
    # Only the client's own codes say that there was no answer.
    assert error.is_away == (code == 0 or CR.CR_ERROR_FIRST <= code < 3000)


@pytest.mark.parametrize("kind", [*PASSING, TOO_LARGE, "other"])
def test_each_kind_has_a_hint(kind):
    assert HINTS[kind]
    assert (kind in SEARCHED) == (kind in ("other", TOO_LARGE))


@pytest.mark.parametrize("code", sorted(ROW))
@pytest.mark.parametrize("kind", [DataError, IntegrityError, OperationalError, InternalError])
def test_only_the_rows_fault_is_a_row_error(code, kind):
    error = classify(wrapped(kind(code, "Data too long for column 'category'")))
    assert isinstance(error, RowError)
    assert "category" in str(error)


@pytest.mark.parametrize("code", sorted(FATAL))
def test_what_a_person_must_change_is_fatal(code):
    error = said(code)
    assert isinstance(error, FatalError)
    words = ("DATABASE_URL", "migrate", "grant", "binlog_format", "trigger", "app check")
    assert any(word in str(error) for word in words)


@pytest.mark.parametrize("code", sorted(LOGIN))
def test_refused_login_says_what_to_change(code):
    error = said(code)
    assert isinstance(error, LoginError)
    assert f"MySQL error {code}: " in str(error)
    assert "{" not in str(error)
    assert not error.is_away
    assert error.kind == "login"


@pytest.mark.parametrize(
    ("code", "message", "sentence"),
    [
        (
            1142,
            f"INSERT command denied to user {HERE} for table `shop`.`flash_sale_events`",
            "the account lacks INSERT on flash_sale_events: "
            "`GRANT INSERT ON shop.flash_sale_events TO 'u'@'%'`",
        ),
        (
            1142,
            "INSERT, UPDATE command denied to user 'u'@'localhost' for table 'dead_letters'",
            "lacks INSERT, UPDATE on dead_letters: `GRANT INSERT, UPDATE ON dead_letters TO 'u'@",
        ),
        (
            1142,
            f"SELECT with locking clause command denied to user {HERE} for table 't'",
            "the account lacks a right to lock rows of t: grant UPDATE on it, or LOCK TABLES on",
        ),
        (
            1143,
            f"SELECT command denied to user {HERE} for column 'worker' in table 'batches'",
            "the account lacks SELECT on batches: `GRANT SELECT ON batches TO 'u'@'%'`",
        ),
        (
            1370,
            f"execute command denied to user {HERE} for routine 'shop.f'",
            "the account lacks EXECUTE on shop.f: grant it to 'u'",
        ),
        (
            1227,
            "Access denied; you need (at least one of) the SUPER or SESSION_VARIABLES_ADMIN "
            "privilege(s) for this operation",
            "lacks an administrative right (SUPER or SESSION_VARIABLES_ADMIN): grant one of these",
        ),
        (
            1044,
            f"Access denied for user {HERE} to database 'shop'",
            "the account may not use the database shop: create it if it is missing, grant the",
        ),
        (1049, "Unknown database 'shop'", "the database shop does not exist: create it, or"),
    ],
)
def test_missing_right_names_what_to_grant(code, message, sentence):
    assert sentence in str(said(code, message))


def test_a_syntax_error_does_not_quote_the_statement():
    error = said(1064, "You have an error in your SQL syntax; … to use near 'secret' at line 1")
    assert isinstance(error, TransientError)
    assert "1064" in str(error)
    assert "secret" not in str(error)


def test_an_error_without_a_code_is_transient():
    for error in (OSError("broken pipe"), ConnectionResetError()):
        found = classify(error)
        assert isinstance(found, TransientError)
        assert found.kind == "connection"
        assert DatabaseTrouble.of(found).is_away


@pytest.mark.parametrize(
    ("code", "message", "state", "what"),
    [
        (2003, "Can't connect ([Errno 111] Connection refused)", "is away", "start the database"),
        (2003, "Can't connect to MySQL server on 'h' (timed out)", "is away", "a firewall"),
        (2013, "Lost connection to MySQL server", "is away", "start the database"),
        (ER.CON_COUNT_ERROR, "Too many connections", "cannot be used", "raise the limit"),
        (1290, "running with the --read-only option", "cannot be used", "the primary"),
        (1045, "Access denied", "cannot be used", None),
    ],
)
def test_only_a_server_without_an_answer_is_away(code, message, state, what):
    error = said(code, message)
    assert str(DatabaseTrouble.of(error)).startswith(f"{state}: MySQL error {code}: ")
    assert what is None or what in advice(error)
