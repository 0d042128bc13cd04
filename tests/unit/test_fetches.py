"""What this app takes over from Faust and aiokafka is still there under that name."""

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from faust.app.base import App
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents import fetches
from agents.positions import Bounds, Position


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


def test_aiokafka_still_gives_records_and_position_in_one_step():
    """A fetch's end is the position when its records are returned: no await may lie between."""
    source = inspect.getsource(Fetcher.fetched_records)
    after = source[source.index("drained[tp] = records") :]
    until_returned = after[
        : after.index("if drained or not timeout:\n                return drained")
    ]
    assert "await" not in until_returned


def test_a_transport_is_still_taken_from_the_app():
    assert vars(App)["transport"].fset is not None


async def test_an_answer_of_before_a_rebalance_does_not_undo_the_one_after_it():
    """Real rebalances meet this once in ten, so that here the answers come in the wrong order."""
    before, after = {TP("t", 0), TP("t", 1)}, {TP("t", n) for n in range(4)}
    asked, slow = asyncio.Event(), asyncio.Event()
    sought: list[set[TP]] = []

    async def resolve(bounds):
        if len(bounds) == len(before):
            asked.set()
            await slow.wait()
        return {number: Position(7, 7) for number in bounds}

    async def seek_to(positions):
        sought.append(set(positions))

    async def bounds(tps):
        return {tp: Bounds(0, 9) for tp in tps}

    consumer: Any = object.__new__(fetches.FetchConsumer)
    consumer.app = SimpleNamespace(consumer_generation_id=1)
    told: list[int] = []
    consumer.transport = SimpleNamespace(resolve=resolve, positioned=lambda p: told.append(len(p)))
    consumer._thread = SimpleNamespace(seek_to=seek_to, bounds=bounds)
    consumer.assignment = lambda: before
    late = asyncio.create_task(consumer.seek_to_committed())
    await asked.wait()
    consumer.app.consumer_generation_id = 2
    consumer.assignment = lambda: after
    assert (await consumer.seek_to_committed()).keys() == after
    slow.set()
    await late
    assert sought[-1] == after
    assert consumer.positioned
    assert told == [len(after)]
