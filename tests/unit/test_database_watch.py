"""The database is asked for a sign of life only when no write gives one, and once at a time."""

import threading
import time

import pytest

import pipeline.database_watch
from pipeline.database_watch import DatabaseWatch
from pipeline.errors import TransientError


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(pipeline.database_watch, "PING_TIMEOUT", 0.1)


async def test_a_database_that_is_gone_is_noticed_and_so_is_its_return():
    answers = [TransientError("gone"), None]

    def ping() -> None:
        if error := answers.pop(0):
            raise error

    watch = DatabaseWatch(ping, lambda: None, lambda: None)
    await watch.look()
    assert watch.last_error == "gone"
    await watch.look()
    assert watch.last_error is None


async def test_a_database_that_never_answers_is_asked_once_and_waited_for_briefly():
    answer = threading.Event()
    asked = []

    def ping() -> None:
        asked.append(1)
        answer.wait(30)

    watch = DatabaseWatch(ping, lambda: None, lambda: None)
    begun = time.monotonic()
    for _ in range(3):
        await watch.look()
    assert time.monotonic() - begun < 5
    assert "no answer for" in (watch.last_error or "")
    assert len(asked) == 1
    answer.set()
    await watch.look()
    assert watch.last_error is None


async def test_a_write_that_succeeds_spares_the_question():
    def ping() -> None:
        raise AssertionError

    watch = DatabaseWatch(ping, time.monotonic, lambda: None)
    watch.last_error = "gone"
    await watch.look()
    assert watch.last_error is None


async def test_a_write_that_gets_no_answer_is_noticed_though_questions_do():
    since: list[float | None] = [None, time.monotonic() - 8, time.monotonic() - 6, None]
    watch = DatabaseWatch(lambda: None, lambda: None, lambda: since[0])
    told = []
    while since:
        await watch.look()
        told.append(watch.last_error)
        since.pop(0)
    assert told == [None, "no answer to a write for 8 s", None, None]
