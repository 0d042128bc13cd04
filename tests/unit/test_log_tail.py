"""The last stored event of a log is found from its end, in bounded pieces."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.partition import Partition
from source import log_tail
from source.log_reader import Bounds
from source.log_tail import Tail, last_stored

T0 = Partition("t", 0)


class Record(NamedTuple):
    offset: int
    value: bytes | None = None
    key: bytes | None = None
    timestamp: int | None = None


class Logs:
    """A log with these offsets; remembers which ranges were read."""

    def __init__(self, offsets):
        self.offsets = offsets
        self.read: list[tuple[int, int]] = []

    async def scan(self, partition, start, end):
        self.read.append((start, end))
        for offset in self.offsets:
            if start <= offset < end:
                yield Record(offset)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(log_tail, "_PIECE", 10)
    monkeypatch.setattr(log_tail, "_DEEPEST", 100)
    monkeypatch.setattr(log_tail, "_WINDOW", 5)


async def test_the_last_one_and_how_many_before_it_are_stored():
    logs = Logs(range(200))
    stored = set(range(40, 150)) - {147}
    found = await last_stored(logs, T0, Bounds(0, 200), lambda one: one.offset in stored)
    assert found == Tail(149, 60, False, 5, 1)
    assert logs.read == [(190, 200), (180, 190), (170, 180), (160, 170), (150, 160), (140, 150)]


async def test_events_that_make_no_row_tell_nothing():
    def verdict(record):
        return None if record.offset % 2 else record.offset <= 50

    found = await last_stored(Logs(range(60)), T0, Bounds(0, 60), verdict)
    assert found == Tail(50, 20, False, 5, 0)


async def test_no_more_than_so_many_offsets_are_looked_at():
    logs = Logs(range(1000))
    found = await last_stored(logs, T0, Bounds(0, 1000), lambda one: False)
    assert found == Tail(None, 100, False)
    assert logs.read[-1] == (900, 910)


async def test_an_empty_log_is_whole():
    assert await last_stored(Logs([]), T0, Bounds(7, 7), lambda one: True) == Tail(None, 0, True)


@given(st.sets(st.integers(3, 99)), st.data())
async def test_it_is_the_greatest_stored_offset(offsets, data):
    stored = data.draw(st.sets(st.sampled_from(sorted(offsets)))) if offsets else set()
    found = await last_stored(
        Logs(sorted(offsets)), T0, Bounds(3, 100), lambda one: one.offset in stored
    )
    assert found.offset == max(stored, default=None)
    before = sorted(one for one in offsets if found.offset is not None and one < found.offset)[-5:]
    assert (found.before, found.missing) == (len(before), len(set(before) - stored))
