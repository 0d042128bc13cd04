"""An outage must never cost a row; a bad row must never stop the rest."""

import re

import pytest
from pymysql.err import DataError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import DBAPIError

from pipeline.errors import FatalError, RowError, TransientError, classify


def wrapped(error):
    return DBAPIError.instance("INSERT …", None, error, Exception)


@pytest.mark.parametrize(
    "code",
    [1205, 1213, 2003, 2006, 2013, 1040, 1203, 1290, 1792, 1836, 1053, 1927, 1021, 1114, 3100, 99],
)
def test_passing_trouble_is_transient(code):
    assert isinstance(classify(wrapped(OperationalError(code, "x"))), TransientError)


@pytest.mark.parametrize("code", [1048, 1062, 1264, 1292, 1366, 1406, 1526, 3819, 4025, 1644])
@pytest.mark.parametrize("kind", [DataError, IntegrityError, OperationalError, InternalError])
def test_only_the_rows_fault_is_a_row_error(code, kind):
    error = classify(wrapped(kind(code, "Data too long for column 'category'")))
    assert isinstance(error, RowError)
    assert "category" in str(error)


@pytest.mark.parametrize("code", [1045, 1049, 1146, 1142, 1054, 1471, 1906, 3105])
def test_what_a_person_must_change_is_fatal_and_says_what(code):
    error = classify(wrapped(OperationalError(code, "Access denied … (using password: YES)")))
    assert isinstance(error, FatalError)
    assert "DATABASE_URL" in str(error) or re.search("migrate|grant|app check", str(error))


def test_an_error_without_a_code_is_transient():
    assert isinstance(classify(OSError("broken pipe")), TransientError)
    assert isinstance(classify(ConnectionResetError()), TransientError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1213, "deadlock"), (1205, "lock_wait"), (1290, "read_only"), (2013, "connection")],
)
def test_errors_that_pass_are_told_apart_for_counting(code, kind):
    error = classify(wrapped(OperationalError(code, "…")))
    assert isinstance(error, TransientError)
    assert error.kind == kind


def test_what_has_no_code_or_an_unknown_one_is_counted_too():
    lost, strange = OSError("broken pipe"), wrapped(OperationalError(9999, "…"))
    kinds = [getattr(classify(error), "kind", None) for error in (lost, strange)]
    assert kinds == ["connection", "other"]
