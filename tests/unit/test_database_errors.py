"""An outage must never cost a row; a bad row must never stop the rest."""

import pytest
from pymysql.err import DataError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import DBAPIError

from db.errors import _ROW, classify
from pipeline.errors import FatalError, RowError, TransientError


def wrapped(error):
    return DBAPIError.instance("INSERT …", None, error, Exception)


@pytest.mark.parametrize(
    "code",
    [1205, 1213, 2003, 2006, 2013, 1040, 1203, 1290, 1792, 1836, 1053, 1927, 1021, 1114, 3100, 99],
)
def test_passing_trouble_is_transient(code):
    assert isinstance(classify(wrapped(OperationalError(code, "x"))), TransientError)


@pytest.mark.parametrize("code", sorted(_ROW))
@pytest.mark.parametrize("kind", [DataError, IntegrityError, OperationalError, InternalError])
def test_only_the_rows_fault_is_a_row_error(code, kind):
    error = classify(wrapped(kind(code, "Data too long for column 'category'")))
    assert isinstance(error, RowError)
    assert "category" in str(error)


@pytest.mark.parametrize("code", [1045, 1049, 1146, 1142, 1054, 1449, 1471, 1598, 1665, 1906, 3105])
def test_what_a_person_must_change_is_fatal_and_says_what(code):
    error = classify(wrapped(OperationalError(code, "Access denied … (using password: YES)")))
    assert isinstance(error, FatalError)
    words = ("DATABASE_URL", "migrate", "grant", "binlog_format", "trigger", "app check")
    assert any(word in str(error) for word in words)


def test_a_syntax_error_does_not_quote_the_statement():
    said = "You have an error in your SQL syntax; … to use near 'secret' at line 1"
    error = classify(wrapped(OperationalError(1064, said)))
    assert isinstance(error, TransientError)
    assert "1064" in str(error)
    assert "secret" not in str(error)


def test_an_error_without_a_code_is_transient():
    assert isinstance(classify(OSError("broken pipe")), TransientError)
    assert isinstance(classify(ConnectionResetError()), TransientError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1213, "deadlock"),
        (1467, "deadlock"),
        (1205, "lock_wait"),
        (1290, "read_only"),
        (2013, "connection"),
        (1114, "resources"),
        (1047, "cluster"),
        (3024, "interrupted"),
        *((code, "too_large") for code in (1153, 1197, 1206, 3100, 3231)),
        *((code, "other") for code in (1064, 1105, 1180)),
    ],
)
def test_errors_that_pass_are_told_apart_for_counting(code, kind):
    error = classify(wrapped(OperationalError(code, "…")))
    assert isinstance(error, TransientError)
    assert error.kind == kind


def test_what_has_no_code_or_an_unknown_one_is_counted_too():
    lost, strange = OSError("broken pipe"), wrapped(OperationalError(9999, "…"))
    kinds = [getattr(classify(error), "kind", None) for error in (lost, strange)]
    assert kinds == ["connection", "other"]
