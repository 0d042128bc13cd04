"""Offsets noted in one thread are sent from the loop of another one, which sleeps meanwhile."""

import asyncio

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from source import commit_reporter
from source.commit_reporter import CommitReporter

ONE, OTHER = TP("t", 0), TP("t", 1)


@pytest.fixture
async def sent(monkeypatch):
    """What a running reporter sent, and the reporter; the first try to send fails."""
    monkeypatch.setattr(commit_reporter, "INTERVAL", 0)
    queue: asyncio.Queue[dict[TP, int]] = asyncio.Queue()
    failures = [KafkaError("no coordinator")]

    async def commit(offsets):
        if failures:
            raise failures.pop()
        queue.put_nowait(offsets)

    reporter = CommitReporter(commit)
    reporter.note({ONE: 1})
    task = asyncio.create_task(reporter.keep_reporting())
    yield queue, reporter
    task.cancel()


async def next_of(queue):
    return await asyncio.wait_for(queue.get(), 10)


async def test_early_offsets_are_sent_and_failed_ones_sent_again(sent):
    queue, _ = sent
    assert await next_of(queue) == {ONE: 1}


async def test_what_another_thread_notes_is_sent_at_its_newest(sent):
    queue, reporter = sent
    await next_of(queue)

    def note():
        reporter.note({ONE: 2, OTHER: 5})
        reporter.note({ONE: 3})

    await asyncio.to_thread(note)
    found: dict[TP, int] = {}
    while found != {ONE: 3, OTHER: 5}:
        found |= await next_of(queue)


async def test_noting_after_the_loop_is_closed_raises_nothing():
    reporter = CommitReporter(lambda offsets: asyncio.sleep(0))
    reporter._loop = asyncio.new_event_loop()
    reporter._loop.close()
    reporter.note({ONE: 1})
