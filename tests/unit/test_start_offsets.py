"""Where reading goes on, for every state a log and the stored offsets can be in."""

import asyncio

import pytest

from pipeline.errors import FatalError
from source.start_offsets import Bounds, Position, Positions


class Store:
    """``OffsetStore`` in memory; the real one is under test with a real database."""

    def __init__(self, **stored: int) -> None:
        self.stored = {int(name[1:]): offset for name, offset in stored.items()}

    def read(self, topic: str) -> dict[int, int]:
        return dict(self.stored)

    def begin(self, topic: str, offsets: dict[int, int]) -> dict[int, int]:
        self.stored = {**offsets, **self.stored}
        return self.read(topic)


def begin(
    store: Store, bounds: dict[str, Bounds], *, from_beginning: bool = False
) -> dict[int, int]:
    positions = Positions(store, "t", from_beginning=from_beginning)  # type: ignore[arg-type]
    asyncio.run(positions.begin({int(name[1:]): found for name, found in bounds.items()}))
    return store.stored


def resolve(store: Store, **bounds: Bounds) -> dict[int, Position]:
    positions = Positions(store, "t", from_beginning=False)  # type: ignore[arg-type]
    return asyncio.run(positions.resolve({int(name[1:]): found for name, found in bounds.items()}))


def test_a_new_group_begins_every_partition_at_the_end_or_the_beginning():
    bounds = {"p0": Bounds(3, 10), "p1": Bounds(0, 0)}
    assert begin(Store(), bounds) == {0: 10, 1: 0}
    assert begin(Store(), bounds, from_beginning=True) == {0: 3, 1: 0}


def test_a_known_group_goes_on_where_it_was_whatever_the_setting_says():
    store = Store(p0=5)
    assert begin(store, {"p0": Bounds(0, 10)}, from_beginning=True) == {0: 5}
    assert resolve(store, p0=Bounds(0, 10)) == {0: Position(5, 5)}


def test_a_partition_added_later_begins_at_its_beginning():
    store = Store(p0=5)
    assert resolve(store, p0=Bounds(0, 10), p1=Bounds(0, 7))[1] == Position(0, 0)
    assert store.stored == {0: 5, 1: 0}, "stored before its first event is read"


def test_events_gone_by_retention_are_passed_over_aloud(caplog):
    assert resolve(Store(p0=5), p0=Bounds(8, 10)) == {0: Position(5, 8)}
    assert "3 events of t/0, from offset 5 on" in caplog.text


def test_a_stored_offset_beyond_the_end_stops_the_worker_and_names_the_way_out():
    with pytest.raises(FatalError, match="offsets reset"):
        resolve(Store(p0=11), p0=Bounds(0, 10))


def test_a_stored_offset_at_the_end_is_the_usual_case():
    assert resolve(Store(p0=10), p0=Bounds(0, 10)) == {0: Position(10, 10)}
