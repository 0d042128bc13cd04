"""What may pass is waited for, a limited time, and said once; nothing else is."""

import asyncio
import logging
from time import monotonic

import pytest
from tenacity import wait_none

import pipeline.patience
from pipeline.errors import FatalError, NotYetError
from pipeline.patience import Patience, is_done


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(pipeline.patience, "BACKOFF", wait_none())


class Attempt:
    """Fails with each of these in turn, then succeeds; with the last for ever where told to."""

    def __init__(self, *errors, last=False):
        self.errors = list(errors)
        self.last = last
        self.count = 0

    async def __call__(self):
        self.count += 1
        await asyncio.sleep(0.001)
        if self.errors:
            raise self.errors[0] if self.last and len(self.errors) == 1 else self.errors.pop(0)
        return "there"


async def test_what_passes_is_waited_for_and_said_once(caplog):
    attempt = Attempt(*(NotYetError("Kafka is away.") for _ in range(5)), NotYetError("No leader."))
    with caplog.at_level(logging.WARNING):
        assert await Patience(60).wait_out(attempt) == "there"
    assert [one.getMessage() for one in caplog.records] == [
        "Waiting up to 60 s (START_TIMEOUT): Kafka is away.",
        "Waiting up to 60 s (START_TIMEOUT): No leader.",
    ]


async def test_what_cannot_pass_ends_it_at_once():
    attempt = Attempt(NotYetError("away"), FatalError("wrong password"))
    with pytest.raises(FatalError, match=r"^wrong password$"):
        await Patience(60).wait_out(attempt)
    assert attempt.count == 2


async def test_without_patience_it_is_one_attempt():
    attempt = Attempt(NotYetError("away"))
    with pytest.raises(NotYetError, match=r"^away$"):
        await Patience(0).wait_out(attempt)
    assert attempt.count == 1


@pytest.mark.parametrize(("seconds", "worth"), [(0.2, 60.0), (60.0, 0.2)])
async def test_in_the_end_it_says_how_long_it_waited(seconds, worth):
    begun = monotonic()
    with pytest.raises(NotYetError, match=r"^away\. Waited 0 s for it\.$"):
        await Patience(seconds).wait_out(Attempt(NotYetError("away.", worth), last=True))
    assert 0.15 < monotonic() - begun < 5


async def test_it_shows_what_it_waits_for():
    patience = Patience(60)
    seen = []

    async def attempt():
        seen.append(patience.waiting_for)
        if len(seen) < 3:
            raise NotYetError(f"number {len(seen)}")

    await patience.wait_out(attempt)
    assert seen == [None, "number 1", "number 2"]
    assert patience.waiting_for is None


async def test_a_process_that_was_stopped_gets_its_answer(monkeypatch):
    """Its clock jumps by 90 s while it waits, and the answer is there a moment later."""
    jumped = iter([0.0, 90.0])
    monkeypatch.setattr(pipeline.patience, "monotonic", lambda: next(jumped, 90.05))
    assert await is_done(asyncio.ensure_future(asyncio.sleep(0.15)), 0.1)


async def test_no_answer_is_no_answer():
    never = asyncio.get_running_loop().create_future()
    assert not await is_done(never, 0.05)
