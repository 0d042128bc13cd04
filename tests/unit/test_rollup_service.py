"""An error of the roll-up is shown and goes away; it never reaches the worker."""

import asyncio
import logging
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.background import rollup_service
from pipeline.background.rollup_service import Progress, RollupService
from pipeline.errors import FatalError, RowError, TransientError
from tests.helpers.worker import until

BATCH: Any = SimpleNamespace(events=1)


def run(*outcomes):
    """A service after a turn for each outcome of a step, and the waits it asked for."""
    steps = iter(outcomes)

    def step():
        found = next(steps)
        if isinstance(found, Exception):
            raise found
        return found

    async def turns():
        service = RollupService(step, 5)
        return service, [await service.turn() for _ in outcomes]

    return asyncio.run(turns())


@pytest.mark.parametrize(
    "error", [TransientError("away"), RowError("away"), FatalError("away"), ValueError("a mistake")]
)
def test_whatever_goes_wrong_is_shown_and_tried_again(error):
    service, waits = run(Progress(3, 9, 1.5, wait=2), error, error)
    assert waits == [2, 5, 5]
    shown = service.as_json()
    assert ("away" in shown["last_error"]) or ("a mistake" in shown["last_error"])
    assert (shown["summed_to"], shown["behind"], shown["seconds"]) == (3, 6, 1.5)


def test_trouble_is_logged_once_and_its_end_too(caplog):
    with caplog.at_level(logging.INFO):
        failed = Progress(9, 3, 0, wait=5, error="ids started again")
        service, _ = run(failed, failed, TransientError("away"), Progress(9, 9, 0, wait=5))
    assert [record.getMessage() for record in caplog.records] == [
        "The roll-up is stalled: ids started again",
        "The roll-up is stalled: away",
        "The roll-up continues.",
    ]
    assert service.as_json()["last_error"] is None


def test_a_deadlock_that_a_retry_cures_is_no_stall(caplog):
    deadlock = TransientError("Deadlock found", "deadlock")
    cured = [deadlock] * rollup_service.DEADLOCKS, Progress(9, 9, 0, wait=5)
    with caplog.at_level(logging.INFO):
        service, waits = run(*cured[0], cured[1], *cured[0], cured[1])
    assert not caplog.records
    assert service.last_error is None
    assert max(waits[:3]) < 2
    service, _ = run(*cured[0], deadlock)
    assert service.last_error == "Deadlock found"


def test_what_the_sums_rest_on_is_shown_and_logged_once(caplog):
    found = Progress(9, 9, 0, wait=5, warning="2 Galera nodes")
    service, _ = run(found, found)
    assert service.as_json()["warning"] == "2 Galera nodes"
    assert [record.getMessage() for record in caplog.records] == ["The sales sums: 2 Galera nodes"]


def test_it_rests_after_a_portion_only_while_rows_come_in(monkeypatch):
    monkeypatch.setattr(rollup_service, "monotonic", count(step=2).__next__)
    _, waits = run(*(Progress(3, newest, 1.5, rows=3) for newest in (9, 10, 10)))
    assert waits == [14, 14, 0]


def test_it_rests_less_when_the_sums_are_a_minute_old(monkeypatch):
    monkeypatch.setattr(rollup_service, "monotonic", count(step=2).__next__)
    _, waits = run(*(Progress(3, 9 + age, age, rows=3) for age in (59, 61)))
    assert waits == [14, 2]


def test_before_the_first_look_nothing_is_known():
    service, _ = run()
    assert service.as_json() is None


async def test_while_idle_it_looks_when_rows_are_stored():
    steps: list[int] = []

    def step():
        steps.append(1)
        return Progress(9, 9, 0, wait=0.01)

    service = RollupService(step, 0.01)
    async with service:
        await until(lambda: len(steps) == 1)
        await asyncio.sleep(0.1)
        assert len(steps) == 1
        service.committed(BATCH)
        await until(lambda: len(steps) == 2)


async def test_while_other_programs_store_rows_it_looks_each_round():
    newest = count(9)

    def step():
        number = next(newest)
        return Progress(number, number, 0, wait=0.01)

    service = RollupService(step, 0.01)
    async with service:
        # The first look knows of none before it.
        await until(lambda: service.progress is not None)
        service.committed(BATCH)
        await until(lambda: service.progress is not None and service.progress.newest > 15)
