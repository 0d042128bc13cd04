"""An answer of the database for all viewers: asked for once, and never waited for long."""

import asyncio
import time

from pipeline.errors import TransientError
from web import shared as sharing
from web.shared import Shared


async def test_ten_viewers_cost_one_question(monkeypatch):
    asked = []

    async def ask():
        asked.append(1)
        await asyncio.sleep(0.05)
        return len(asked)

    shared = Shared(ask, object)
    answers = await asyncio.gather(*(shared.get() for _ in range(10)))
    assert [answer["value"] for answer in answers] == [1] * 10
    assert (await shared.get())["value"] == 1
    monkeypatch.setattr(sharing, "MAX_AGE", 0.0)
    assert (await shared.get())["value"] == 2


async def test_a_database_that_hangs_holds_up_nobody_and_is_asked_once(monkeypatch):
    monkeypatch.setattr(sharing, "MAX_AGE", 0.0)
    monkeypatch.setattr(sharing, "ANSWER_TIMEOUT", 0.1)
    hang = asyncio.Event()
    asked = []

    async def ask():
        asked.append(1)
        if len(asked) > 1:
            await hang.wait()
        return "old" if len(asked) == 1 else "new"

    shared = Shared(ask, object)
    assert (await shared.get())["error"] is None
    begun = time.monotonic()
    answers = await asyncio.gather(*(shared.get() for _ in range(10)))
    assert time.monotonic() - begun < 5
    assert {answer["value"] for answer in answers} == {"old"}
    assert all("no answer for" in answer["error"] for answer in answers)
    assert len(asked) == 2
    hang.set()
    found = await shared.get()
    assert (found["value"], found["error"]) == ("new", None)


async def test_what_is_wrong_is_said_and_the_last_answer_kept(monkeypatch):
    monkeypatch.setattr(sharing, "MAX_AGE", 0.0)
    answers = ["first", TransientError("gone"), "second"]

    async def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = Shared(ask, object)
    found = [await shared.get() for _ in range(3)]
    assert [(one["value"], one["error"]) for one in found] == [
        ("first", None),
        ("first", "gone"),
        ("second", None),
    ]


async def test_an_answer_that_takes_long_is_asked_for_seldom(monkeypatch):
    monkeypatch.setattr(sharing, "MAX_AGE", 0.0)
    monkeypatch.setattr(sharing, "SLOW", 0.01)
    asked = []

    async def ask():
        asked.append(time.monotonic())
        await asyncio.sleep(0.05)

    shared = Shared(ask, object)
    while len(asked) < 2:
        await shared.get()
        await asyncio.sleep(0.001)
    assert asked[1] - asked[0] >= 10 * 0.05


async def test_while_nothing_happens_it_is_asked_seldom(monkeypatch):
    monkeypatch.setattr(sharing, "MAX_AGE", 0.0)
    monkeypatch.setattr(sharing, "IDLE_AGE", 3600.0)
    asked = []
    versions = [1]

    async def ask():
        asked.append(versions[-1])

    shared = Shared(ask, lambda: versions[-1])
    for version in (1, 1, 2, 2):
        versions.append(version)
        await shared.get()
    assert asked == [1, 2]
