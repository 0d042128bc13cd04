"""Housekeeping never reaches the worker: its errors are shown, and it tries again."""

import asyncio
import logging
from datetime import timedelta

import pytest

from pipeline.background.housekeeping import Housekeeping, rest
from pipeline.background.storage import Purged, Storage, TableSize
from pipeline.errors import FatalError, RowError, TransientError

FOUND = Storage([TableSize("t", 5, 4_000_000, 1e6), TableSize("u", 0, 0, None)], 10_000_000)
AGES = {"events": timedelta(days=90)}


def service(*portions, look=lambda: FOUND):
    def purge(ages):
        assert ages.keys() == AGES.keys()
        for one in portions:
            if isinstance(one, Exception):
                raise one
            yield one

    return Housekeeping(look, purge, AGES)


def portion(rows):
    return Purged("events", rows, 0, 0.0, is_last=False)


@pytest.mark.parametrize(
    "error", [TransientError("away"), RowError("away"), FatalError("away"), ValueError("away")]
)
def test_an_error_is_logged_once_and_shown(error, caplog):
    one = service(portion(3), error)
    with (
        asyncio.Runner() as runner,
        caplog.at_level(logging.WARNING, "pipeline.background.housekeeping"),
    ):
        runner.run(one.turn())
        runner.run(one.turn())
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert "away" in said[0]
    assert "away" in one.as_json()["last_error"]
    assert one.as_json()["bytes"] == 4_000_000


def test_what_was_purged_before_an_error_is_logged(caplog):
    with caplog.at_level(logging.INFO, "pipeline.background.housekeeping"):
        asyncio.run(service(portion(3), portion(4), TransientError("away")).turn())
    assert "Purged by RETENTION: 7 events." in caplog.text


def test_a_purge_rests_most_of_the_time():
    assert rest(Purged("events", 1, 0, 0.1, is_last=False)) == pytest.approx(3.0)
    assert rest(Purged("events", 1, 0, 60.0, is_last=False)) < 30, "the session's idle limit"


def test_when_the_space_is_used_up():
    assert (FOUND.bytes, FOUND.per_day, FOUND.full_in) == (4_000_000, 1e6, 6.0)
    assert FOUND._replace(limit=None).full_in is None
    assert FOUND._replace(limit=3_000_000).full_in == 0.0
    shrinking = [FOUND.tables[0]._replace(per_day=-5.0)]
    assert FOUND._replace(tables=shrinking).full_in is None
    assert FOUND._replace(tables=[]).per_day is None
