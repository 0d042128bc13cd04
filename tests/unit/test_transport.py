"""What this app takes over from Faust and aiokafka is still there under that name."""

import asyncio
import inspect
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from faust.app.base import App
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from pipeline.memory import Memory
from source import fetch_thread
from source import transport as fetches
from source.continuity import Continuity
from source.fetch import Fetch
from source.gathering import Gathering
from source.log_reader import Bounds
from source.records.batches import Portion
from source.start_offsets import LogEndError, Position


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in fetches.OVERRIDDEN.items() for name in names],
)
def test_overridden_names_exist_in_faust(owner, name):
    assert hasattr(owner, name)


def test_faust_still_calls_what_is_overridden():
    consumer = inspect.getsource(driver.Consumer.__mro__[1].__mro__[1])
    for call in ("self.seek_to_committed()", "self._getmany(", "to_message(tp, record)"):
        assert call in consumer
    assert "self._fetch_records," in inspect.getsource(driver.AIOKafkaConsumerThread)


def test_aiokafka_still_has_what_is_used_of_its_inside():
    source = inspect.getsource(aiokafka.consumer.fetcher)
    for used in (
        "records.has_next()",
        "records.size_in_bytes()",
        "self._records[tp] = FetchResult(",
        "self._partition_records.next_fetch_offset",
        "def _create_fetch_waiter(self)",
        "self._notify(self._wait_consume_future)",
        "def check_raise(self)",
    ):
        assert used in source, used
    consumer = inspect.getsource(aiokafka.AIOKafkaConsumer)
    for used in ("fetch_max_bytes=self._fetch_max_bytes", "isolation_level=self._isolation_level"):
        assert used in consumer, used
    assert "consumer._max_poll_records" in inspect.getsource(driver.AIOKafkaConsumerThread)


def test_a_transport_is_still_taken_from_the_app():
    assert vars(App)["transport"].fset is not None


def test_faust_drops_nothing_that_is_read_again():
    """A partition the circuit breaker held is read again, from below what Faust saw of it."""
    assert "get_read_offset = self._read_offset.__getitem__" in inspect.getsource(
        driver.Consumer.__mro__[1].__mro__[1]
    )
    held, other = TP("t", 0), TP("t", 1)
    consumer = positioning(None, {held, other})
    consumer._read_offset = {held: 100, other: 100}
    fetch = Fetch(50, 60, [], None, Memory(1, 1).hold(0, 0))
    assert consumer._to_message(held, fetch).offset == 59
    assert consumer._read_offset == {other: 100}


def positioning(resolve, tps):
    """A consumer that finds its start offsets without a broker."""
    sought: list[set[TP]] = []
    told: list[int] = []

    async def seek_to(positions):
        sought.append(set(positions))

    async def bounds(numbers):
        return {number: Bounds(0, 9) for number in numbers}

    def add_future(work):
        consumer.later = asyncio.ensure_future(work)

    consumer: Any = object.__new__(fetches.FetchConsumer)
    Service.__init__(consumer)
    consumer.app = SimpleNamespace(consumer_generation_id=1)
    starts = SimpleNamespace(resolve=resolve)
    listeners = [lambda found: told.append(len(found))]
    consumer.transport = SimpleNamespace(starts=starts, listeners=listeners)
    commits = SimpleNamespace(note=lambda offsets: None, forget=lambda: None)
    consumer._thread = SimpleNamespace(seek_to=seek_to, bounds=bounds, commits=commits)
    consumer._read_offset = {}
    consumer.assignment = lambda: tps
    consumer.add_future = add_future
    consumer.sought, consumer.told = sought, told
    return consumer


async def test_answer_from_before_a_rebalance_is_ignored():
    """Real rebalances meet this once in ten, so that here the answers come in the wrong order."""
    before, after = {TP("t", 0), TP("t", 1)}, {TP("t", n) for n in range(4)}
    asked, slow = asyncio.Event(), asyncio.Event()

    async def resolve(bounds, logs):
        if len(bounds) == len(before):
            asked.set()
            await slow.wait()
        return {number: Position(7, 7) for number in bounds}

    consumer = positioning(resolve, before)
    late = asyncio.create_task(consumer.seek_to_committed())
    await asked.wait()
    consumer.app.consumer_generation_id = 2
    consumer.assignment = lambda: after
    assert (await consumer.seek_to_committed()).keys() == after
    slow.set()
    await late
    assert consumer.sought[-1] == after
    assert consumer.positioned
    assert consumer.told == [len(after)]


async def test_a_log_that_ends_early_for_a_moment_is_no_other_log(monkeypatch):
    """A killed broker's log does, now and then; which moment it is cannot be chosen there."""
    answers = [LogEndError("the log ends at 3"), LogEndError("the log ends at 3"), None]
    monkeypatch.setattr(fetches, "RETRY_PAUSE", 0)

    async def resolve(bounds, logs):
        if error := answers.pop(0):
            raise error
        return {number: Position(7, 7) for number in bounds}

    consumer = positioning(resolve, {TP("t", 0)})
    assert await consumer.seek_to_committed() == {}
    assert not consumer.positioned
    await consumer.later
    assert consumer.positioned


async def test_a_log_that_goes_on_ending_early_ends_the_worker(monkeypatch):
    monkeypatch.setattr(fetches, "SETTLING_TIMEOUT", 0)

    async def resolve(bounds, logs):
        raise LogEndError("the log ends at 3")

    consumer = positioning(resolve, {TP("t", 0)})
    await consumer.seek_to_committed()
    assert consumer.crash_reason.code == 1


async def test_a_worker_that_is_out_of_its_group_for_good_ends():
    """As on an answer that aiokafka does not expect, which no real broker gives when asked to."""

    async def refused():
        raise KafkaError("unexpected")

    task = asyncio.ensure_future(refused())
    await asyncio.wait([task])
    coordinator = SimpleNamespace(_coordination_task=task, _pending_exception=None)
    consumer = positioning(None, set())
    thread: Any = object.__new__(fetch_thread.FetchThread)
    thread._consumer = SimpleNamespace(_coordinator=coordinator)
    consumer._thread = thread
    await consumer.check_group()
    assert consumer.crash_reason.code == 1


async def test_a_join_that_failed_is_tried_again(caplog):
    """aiokafka waits until someone sees the error, and before an assignment nobody looks."""
    coordinator: Any = object.__new__(GroupCoordinator)
    coordinator._coordination_task = asyncio.get_running_loop().create_future()
    coordinator._subscription = SimpleNamespace(abort_waiters=lambda error: None)
    coordinator._closing = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(coordinator._push_error_to_user(KafkaError("not just now")))
    await asyncio.sleep(0)
    consumer = positioning(None, set())
    thread: Any = object.__new__(fetch_thread.FetchThread)
    thread.thread_loop = asyncio.get_running_loop()
    thread._consumer = SimpleNamespace(_coordinator=coordinator)
    consumer._thread = thread
    await consumer.check_group()
    await asyncio.wait_for(waiting, 5)
    assert "not just now" in caplog.text
    assert not consumer.crashed


async def test_nothing_is_delivered_while_partitions_are_revoked():
    """The rebalance comes while the thread waits for the broker: a moment that cannot be chosen."""
    partition = TP("t", 0)
    taken: list[int] = []

    def take(room, size):
        taken.append(room)
        return Portion([], 0, -1)

    class Arrived:
        _partition_records = SimpleNamespace(take=take, position=9, is_done=False, next_epoch=0)
        has_more = _update_position = staticmethod(lambda: True)
        check_assignment = staticmethod(lambda tp: True)

    def waiter():
        """Asked for when there is nothing yet."""
        fetcher._records[partition] = Arrived()
        revoked = asyncio.ensure_future(thread._seek_to({}))
        return asyncio.ensure_future(asyncio.wait([revoked]))

    fetcher = SimpleNamespace(
        _records={},
        _closed=False,
        _create_fetch_waiter=waiter,
        _subscriptions=SimpleNamespace(is_assigned=lambda tp: True),
    )
    subscription = SimpleNamespace(reassignment_in_progress=False, fetch_context=nullcontext)
    thread: Any = object.__new__(fetch_thread.FetchThread)
    thread._consumer = SimpleNamespace(
        _fetcher=fetcher, _subscription=subscription, _closed=False, assignment=lambda: {partition}
    )
    thread._ensure_consumer = lambda: thread._consumer
    thread.consumer = SimpleNamespace(flow_active=True)
    thread._memory, thread.held = Memory(10, 1000), frozenset()
    thread._gathering = Gathering(SimpleNamespace(due=0.0))
    thread._next = {partition: 0}
    thread._continuity = Continuity(SimpleNamespace())
    assert await thread._fetch_records(thread._consumer, {partition}, 5) == {}
    assert taken == []
