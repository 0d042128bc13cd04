"""Where reading starts, for every state a log and the stored offsets can be in."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import pytest

from pipeline.errors import FatalError
from pipeline.partition import Partition
from pipeline.record import LastRecord
from source.log_reader import Bounds
from source.start_offsets import OtherLogError, Position, StartOffsets
from tests.helpers.partitions import of_topic

T = TypeVar("T")


def named(values: Mapping[str, T]) -> dict[Partition, T]:
    """By partition of the topic ``t`` what is named ``p0``, ``p1``, …"""
    return of_topic("t", {int(name[1:]): value for name, value in values.items()})


class Store:
    """``OffsetStore`` in memory; the real one is under test with a real database."""

    def __init__(self, **stored: int) -> None:
        self.stored = named(stored)
        self.last: dict[Partition, LastRecord] = {}

    def read(self, topic: str) -> dict[Partition, int]:
        return dict(self.stored)

    def last_records(self, topic: str) -> dict[Partition, LastRecord]:
        return self.last

    def begin(self, offsets: Mapping[Partition, int]) -> None:
        self.stored = {**offsets, **self.stored}


class Logs:
    """Logs that have these records and no others."""

    def __init__(self, **records: LastRecord) -> None:
        self.records = named(records)

    async def identify(
        self, known: Mapping[Partition, LastRecord]
    ) -> dict[Partition, LastRecord | None]:
        return {partition: self.records.get(partition) for partition in known}


def begin(
    store: Store,
    bounds: dict[str, Bounds],
    *,
    from_beginning: bool = False,
    read_committed: bool = True,
) -> dict[Partition, int]:
    positions = StartOffsets(
        store,
        from_beginning=from_beginning,
        read_committed=read_committed,
    )
    asyncio.run(positions.begin(named(bounds)))
    return store.stored


def resolve(store: Store, logs: Logs | None = None, **bounds: Bounds) -> dict[Partition, Position]:
    positions = StartOffsets(store, from_beginning=False)
    return asyncio.run(positions.resolve(named(bounds), logs or Logs()))


def test_new_group_begins_all_partitions_at_end_or_beginning():
    bounds = {"p0": Bounds(3, 10), "p1": Bounds(0, 0)}
    assert begin(Store(), bounds) == of_topic("t", {0: 10, 1: 0})
    assert begin(Store(), bounds, from_beginning=True) == of_topic("t", {0: 3, 1: 0})


def test_known_group_continues_whatever_the_setting():
    store = Store(p0=5)
    assert begin(store, {"p0": Bounds(0, 10)}, from_beginning=True) == of_topic("t", {0: 5})
    assert resolve(store, p0=Bounds(0, 10)) == of_topic("t", {0: Position(5, 5)})


def test_a_partition_added_later_begins_at_its_beginning():
    store = Store(p0=5)
    assert resolve(store, p0=Bounds(0, 10), p1=Bounds(0, 7))[Partition("t", 1)] == Position(0, 0)
    assert store.stored == of_topic("t", {0: 5, 1: 0}), "stored before its first event is read"


def test_events_gone_by_retention_are_passed_over_aloud(caplog):
    assert resolve(Store(p0=5), p0=Bounds(8, 10)) == of_topic("t", {0: Position(5, 8)})
    assert "3 events of t/0, from offset 5 on" in caplog.text


def test_offset_beyond_the_end_stops_with_the_command_to_run():
    with pytest.raises(FatalError, match="offsets reset"):
        resolve(Store(p0=11), p0=Bounds(0, 10))


def test_a_stored_offset_at_the_end_is_the_usual_case():
    assert resolve(Store(p0=10), p0=Bounds(0, 10)) == of_topic("t", {0: Position(10, 10)})


KNOWN = LastRecord(offset=4, epoch=2, timestamp=1000, checksum=77)


def test_the_same_record_as_before_is_the_same_log():
    store = Store(p0=5)
    store.last = of_topic("t", {0: KNOWN})
    expected = of_topic("t", {0: Position(5, 5, KNOWN)})
    assert resolve(store, Logs(p0=KNOWN), p0=Bounds(0, 10)) == expected
    without_epoch = KNOWN._replace(epoch=-1)
    assert resolve(store, Logs(p0=without_epoch), p0=Bounds(0, 10)) == expected


@pytest.mark.parametrize("change", [{"epoch": 3}, {"timestamp": 1001}, {"checksum": 78}])
def test_another_record_stops_with_the_command_to_run(change):
    store = Store(p0=5)
    store.last = of_topic("t", {0: KNOWN})
    with pytest.raises(OtherLogError, match=r"t/0 has another record at offset 4.*offsets reset"):
        resolve(store, Logs(p0=KNOWN._replace(**change)), p0=Bounds(0, 10))


def test_a_last_record_that_is_gone_is_not_compared():
    store = Store(p0=5)
    store.last = of_topic("t", {0: KNOWN})
    expected = of_topic("t", {0: Position(5, 5, KNOWN)})
    assert resolve(store, Logs(), p0=Bounds(0, 10)) == expected, "compacted"
    other = Logs(p0=KNOWN._replace(checksum=1))
    assert resolve(store, other, p0=Bounds(5, 10)) == expected, "below the log"
    assert resolve(Store(p0=5), other, p0=Bounds(0, 10)) == of_topic("t", {0: Position(5, 5)}), (
        "never stored"
    )


def test_group_starting_at_the_end_awaits_open_transactions():
    bounds = {"p0": Bounds(0, 10, stable=7)}
    assert begin(Store(), bounds) == of_topic("t", {0: 7})
    assert begin(Store(), bounds, read_committed=False) == of_topic("t", {0: 10})
