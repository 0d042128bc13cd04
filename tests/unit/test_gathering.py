"""When the consumer rests, and until when."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from pipeline.memory import Memory
from pipeline.record import PlainRecord
from source import gathering
from source.fetch import Fetch
from source.gathering import LEAD, REST, WORTH, Gathering

PARTITIONS = {TP("t", 0): 10, TP("t", 1): 20}


def fetches(ends, events):
    """Fetches up to these offsets, with so many events in the last of them."""
    lease = Memory(1000, 1000).hold(0, 0)
    found = {tp: Fetch(0, end, [], None, lease) for tp, end in ends.items()}
    last, fetch = found.popitem()
    return {**found, last: fetch._replace(records=[PlainRecord(0, b"")] * int(events))}


class Consumer:
    """aiokafka's, as far as it is asked."""

    def __init__(self):
        self.held = set()

    def highwater(self, tp):
        return PARTITIONS[tp]

    def assignment(self):
        return frozenset(PARTITIONS)

    def pause(self, *partitions):
        self.held |= set(partitions)

    def paused(self):
        return frozenset(self.held)

    def resume(self, *partitions):
        self.held -= set(partitions)


class Clock:
    """Time that passes only where something sleeps."""

    now = 100.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(gathering, "monotonic", clock)
    monkeypatch.setattr(gathering, "asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


async def test_whoever_is_behind_in_one_partition_does_not_rest(clock):
    consumer, one = Consumer(), Gathering(SimpleNamespace(due=0.0))
    one.took(consumer, fetches({TP("t", 0): 10, TP("t", 1): 19}, 5))
    assert not consumer.held
    assert await one.is_over(consumer, REST)
    assert clock.now == 100.0


async def test_at_the_logs_ends_nothing_is_fetched_until_the_rest_ends(clock):
    consumer, one = Consumer(), Gathering(SimpleNamespace(due=0.0))
    one.took(consumer, fetches({TP("t", 0): 10}, 5))
    assert consumer.held == set(PARTITIONS)
    assert not await one.is_over(consumer, REST / 4)
    assert clock.now == pytest.approx(100.0 + REST / 4)
    assert consumer.held
    assert await one.is_over(consumer, REST)
    assert clock.now == pytest.approx(100.0 + REST)
    assert not consumer.held


@pytest.mark.parametrize(
    ("due", "rest"),
    [(LEAD + 0.05, 0.05), (LEAD + REST + 1, REST), (LEAD / 2, REST), (-1.0, REST)],
    ids=["soon", "later", "too soon to fetch before it", "under way"],
)
async def test_a_rest_ends_in_time_for_the_next_flush(clock, due, rest):
    consumer, one = Consumer(), Gathering(SimpleNamespace(due=100.0 + due))
    one.took(consumer, fetches(PARTITIONS, 5))
    assert await one.is_over(consumer, 5.0)
    assert clock.now == pytest.approx(100.0 + rest)


@pytest.mark.parametrize(("rate", "rest"), [(100, REST), (10_000, WORTH / 10_000)])
async def test_rest_ends_when_a_worthwhile_fetch_has_gathered(clock, rate, rest):
    consumer, one = Consumer(), Gathering(SimpleNamespace(due=0.0))
    one.took(consumer, fetches({TP("t", 0): 9}, 1))
    clock.now += 0.02
    one.took(consumer, fetches(PARTITIONS, rate * 0.02))
    begun = clock.now
    assert await one.is_over(consumer, 5.0)
    assert clock.now - begun == pytest.approx(rest)


async def test_partitions_of_a_later_rebalance_do_not_rest(clock):
    consumer, one = Consumer(), Gathering(SimpleNamespace(due=0.0))
    one.took(consumer, fetches(PARTITIONS, 5))
    consumer.held.clear()
    assert await one.is_over(consumer, REST)
    assert not consumer.held
