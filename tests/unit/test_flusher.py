"""The flusher against a writer that fails as told: the faults a real server makes rarely."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from tenacity import AsyncRetrying

import pipeline.flush.attempts
import pipeline.flush.flusher
import pipeline.flush.retry
from agents.flash_sales import FLASH_SALES
from pipeline.batch import Batch, empty_drops
from pipeline.chunk import Chunk
from pipeline.errors import DatabaseTrouble, OffsetGapError, TransientError
from pipeline.flush.flusher import Flusher
from pipeline.flush.refetch import Refetched, Refetcher
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from pipeline.threads import in_thread
from tests.helpers.worker import until

T0, T1 = Partition("t", 0), Partition("t", 1)
Fault = Callable[[int, list[Chunk]], object]


def chunk(start: int, size: int) -> Chunk:
    records = [
        PlainRecord(offset, b'{"event_id":"%d","user_id":"u","category":"c"}' % offset)
        for offset in range(start, start + size)
    ]
    return Chunk.transform(FLASH_SALES, Partition("t", 0), start, start + max(1, size), records)


class FakeWriter:
    """Keeps what it is given; ``fault`` may raise first."""

    def __init__(self, fault: Fault = lambda number, chunks: None) -> None:
        self.fault = fault
        self.tries: list[int] = []
        self.rehearsals = 0
        self.stored: list[int] = []
        self.events = 1

    def write(self, number: int, opened: datetime, chunks: list[Chunk], *_: object) -> Batch:
        self.tries.append(number)
        self.fault(number, chunks)
        for piece in chunks:
            self.stored += piece.offsets
        now = datetime.now(UTC)
        return Batch(number, opened, now, 0.0, self.events, 0, empty_drops(), {}, {}, 0.0, {})

    def rehearse(self, chunk: Chunk) -> None:
        self.rehearsals += 1
        self.fault(0, [chunk])


def flusher(writer: FakeWriter, **settings: float) -> Flusher:
    async def refetch(partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        return None

    options = {"interval": 60, "max_events": 10, "max_bytes": 1 << 20, "stop_timeout": 0.5}
    return Flusher(writer, refetch_some=refetch, **{**options, **settings})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(pipeline.flush.attempts, "BACKOFF", lambda state: 0.01)
    monkeypatch.setattr(pipeline.flush.flusher, "SEARCH_BACKOFF", lambda state: 0.01)


async def test_a_write_is_retried_through_an_outage_and_loses_nothing():
    outage = iter([TransientError("gone away", "connection")] * 5)

    def fault(number: int, chunks: list[Chunk]) -> None:
        for error in outage:
            raise error

    writer = FakeWriter(fault)
    service = flusher(writer)
    service.put(chunk(0, 5))
    await service.flush()
    assert writer.stored == list(range(5))
    assert writer.tries == [1] * 6, "the same write again, under the same number"
    assert service.last_error is None


async def test_write_refetches_on_the_loop_with_signs_of_life():
    """In parts; what an answer skips, and everything after a failure, is not available."""
    parts = [
        Refetched([PlainRecord(1, b"sent 1")], 3),
        Refetched([PlainRecord(7, b"sent 7")], 8),
        None,
    ]
    asked: list[list[int]] = []
    seen: list[float | None] = []

    async def refetch(partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        asked.append(list(offsets))
        return parts[len(asked) - 1]

    class Asking(FakeWriter):
        def write(self, number: int, opened: datetime, chunks: list[Chunk], *given: Any) -> Batch:
            refetch, alive = given
            before = service.last_tick
            alive()
            seen.extend((before, service.last_tick))
            self.given = [*refetch(T0, [1, 2, 7, 9, 12]), *refetch(T1, [5])]
            return super().write(number, opened, chunks)

    writer = Asking()
    service = flusher(writer)
    service._attempts._refetch_some = refetch
    service.put(chunk(0, 20))
    await service.flush()
    assert [(offset, found and found.value) for offset, found in writer.given] == [
        (1, b"sent 1"),
        (2, None),
        (7, b"sent 7"),
        (9, None),
        (12, None),
        (5, None),
    ]
    assert asked == [[1, 2, 7, 9, 12], [7, 9, 12], [9, 12]]
    assert seen[0] is None
    assert seen[1] is not None


async def test_kafka_that_does_not_answer_is_asked_only_once(monkeypatch):
    monkeypatch.setattr("pipeline.flush.refetch.REFETCH_TIMEOUT", 0.05)
    asked: list[Partition] = []

    async def hang(partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        asked.append(partition)
        await asyncio.sleep(60)
        return None

    def ask():
        refetch = Refetcher(hang, loop).refetch
        return [*refetch(T0, [1, 2]), *refetch(T1, [3])]

    loop = asyncio.get_running_loop()
    assert await in_thread(ask) == [(1, None), (2, None), (3, None)]
    assert asked == [T0]


def test_an_event_loop_that_has_ended_is_a_transient_error():
    """Else a worker that ends would keep what it made from rows, in place of what was sent."""

    async def never(partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        raise AssertionError

    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(TransientError, match="stopping"):
        list(Refetcher(never, loop).refetch(T0, [1]))


async def test_offsets_without_events_are_written_and_say_nothing(caplog):
    writer = FakeWriter()
    told: list[int] = []
    service = flusher(writer)
    service._listeners = [lambda batch: told.append(batch.events)]
    service.put(chunk(0, 0))
    writer.events = 0
    with caplog.at_level("INFO"):
        await service.drain()
    assert writer.tries == [1]
    assert told == [0]
    assert "Batch" not in caplog.text


async def test_draining_writes_what_is_buffered():
    writer = FakeWriter()
    service = flusher(writer)
    service.put(chunk(0, 10))
    service.put(chunk(10, 10))
    await service.drain()
    assert writer.stored == list(range(20))


async def test_draining_ends_in_time_when_the_database_is_away():
    def away(number: int, chunks: list[Chunk]) -> None:
        raise TransientError("away", "connection")

    service = flusher(FakeWriter(away))
    service.put(chunk(0, 10))
    await asyncio.wait_for(service.drain(), 2)
    assert not service.buffer


async def test_a_fatal_error_ends_the_service_with_status_1():
    def gap(number: int, chunks: list[Chunk]) -> None:
        raise OffsetGapError("changed behind the worker")

    service = flusher(FakeWriter(gap), interval=0.01)
    service.put(chunk(0, 1))
    await service.start()
    await until(lambda: service.crashed)
    await service.stop()
    assert isinstance(service.crash_reason, SystemExit)
    assert service.crash_reason.code == 1


async def test_flushes_at_the_interval_and_when_full():
    writer = FakeWriter()
    service = flusher(writer, interval=0.1)
    await service.start()
    service.put(chunk(0, 1))
    await until(lambda: writer.stored == [0])
    await service.stop()

    writer = FakeWriter()
    service = flusher(writer, interval=60)
    await service.start()
    service.put(chunk(0, 10))
    await until(lambda: writer.stored == list(range(10)))
    await service.stop()


def cannot_store(*bad: int, code: int = 9999, kind: str = "other") -> Fault:
    def fault(number: int, chunks: list[Chunk]) -> None:
        if any(offset in bad for piece in chunks for offset in piece.offsets):
            raise TransientError(f"MySQL error {code}: strange", kind)

    return fault


async def test_bad_event_is_named_and_blocks_only_its_partition(caplog):
    writer = FakeWriter(cannot_store(4))
    held: list[list[tuple[str, int]]] = []
    service = flusher(writer, max_events=100)
    service._on_stuck = lambda partitions: held.append(list(partitions))
    service.put(chunk(0, 10))
    service.put(replace(chunk(100, 10), partition=T1))
    await service.flush()
    assert sorted(writer.stored) == [0, 1, 2, 3, *range(100, 110)]
    assert service.stuck is not None
    assert service.stuck.startswith("t/0/4: MySQL error 9999: strange. Nothing is lost")
    assert service.last_error is None
    service.put(chunk(10, 5))
    service.put(replace(chunk(110, 5), partition=T1))
    await service.flush()
    assert sorted(writer.stored) == [0, 1, 2, 3, *range(100, 115)]
    assert service.buffer.events == 11
    assert caplog.text.count("cannot be stored") == 1, "said once"
    writer.fault = lambda number, chunks: None
    await service.flush()
    assert sorted(writer.stored) == [*range(15), *range(100, 115)]
    assert service.stuck is None
    assert service.buffer.events == 0
    assert held == [[("t", 0)], []]


@pytest.fixture
def clock(monkeypatch) -> Callable[[], float]:
    """Seconds that retries have waited, with their real backoff; they pass at once."""
    waited = [0.0]

    async def sleep(seconds: float) -> None:
        waited[0] += seconds

    for module, name in (
        (pipeline.flush.attempts, "BACKOFF"),
        (pipeline.flush.flusher, "SEARCH_BACKOFF"),
    ):
        monkeypatch.setattr(module, name, getattr(pipeline.flush.retry, name))
        monkeypatch.setattr(module, "AsyncRetrying", partial(AsyncRetrying, sleep=sleep))
    return lambda: waited[0]


@pytest.mark.parametrize("kind", ["other", "too_large"])
@pytest.mark.parametrize("is_commit_only", [False, True])
async def test_unknown_error_of_all_events_is_an_outage(clock, caplog, kind, is_commit_only):
    """It lasts 20 s, and the event at fault is still found afterwards."""
    bad = cannot_store(1_700, kind=kind)
    during: list[tuple[int, DatabaseTrouble | None]] = []

    def fault(number: int, chunks: list[Chunk]) -> None:
        if clock() < 20:
            during.append((number, service.last_error))
            if number or not is_commit_only:
                raise TransientError("MySQL error 1226: x has exceeded 'max_updates'", kind)
        bad(number, chunks)

    writer = FakeWriter(fault)
    service = flusher(writer, max_events=10_000)
    service.put(chunk(0, 2_000))
    service.put(replace(chunk(10_000, 2_000), partition=T1))
    await asyncio.wait_for(service.flush(), 20)
    writes = sum(1 for number, _ in during if number)
    assert 5 <= writes <= 20
    assert len(during) - writes <= 12, "rehearsals"
    assert "1226" in str(during[-1][1]), "not ready, in the server's words"
    assert sorted(writer.stored) == [*range(1_700), *range(10_000, 12_000)]
    assert service.stuck
    assert service.stuck.startswith("t/0/1700: MySQL error 9999")
    assert caplog.text.count("cannot be stored") == 1
    assert len(writer.tries) + writer.rehearsals - len(during) <= 40
    assert service.last_error is None


async def test_single_event_is_compared_with_what_comes_in(clock):
    def more() -> None:
        service.put(chunk(5, 1))
        service.put(replace(chunk(7, 1), partition=T1))

    def fault(number: int, chunks: list[Chunk]) -> None:
        if clock() > 30 and not writer.stored and service.buffer.events == 1:
            loop.call_soon_threadsafe(more)
        cannot_store(4)(number, chunks)

    loop = asyncio.get_running_loop()
    writer = FakeWriter(fault)
    service = flusher(writer)
    service.put(chunk(4, 1))
    await asyncio.wait_for(service.flush(), 20)
    assert writer.stored == [7]
    assert service.stuck
    assert service.stuck.startswith("t/0/4: ")
    assert service.buffer.events == 2


async def test_what_was_revoked_in_an_outage_is_left(clock):
    def fault(number: int, chunks: list[Chunk]) -> None:
        if clock() > 30:
            service.buffer.discard()
        raise TransientError("MySQL error 1105: x", "other")

    writer = FakeWriter(fault)
    service = flusher(writer)
    service.put(chunk(0, 5))
    await asyncio.wait_for(service.flush(), 20)
    assert (service.buffer.events, service.stuck, writer.stored) == (0, None, [])


async def test_draining_leaves_what_cannot_be_stored_to_be_read_again():
    writer = FakeWriter(cannot_store(4))
    service = flusher(writer)
    service.put(chunk(0, 10))
    await asyncio.wait_for(service.drain(), 2)
    assert writer.stored == [0, 1, 2, 3]
    assert (service.stuck, service.buffer.events) == (None, 0)


async def test_writes_that_are_too_large_become_smaller_and_stay_so():
    sizes: list[int] = []

    def fault(number: int, chunks: list[Chunk]) -> None:
        sizes.append(sum(piece.events for piece in chunks))
        if sizes[-1] > 12:
            raise TransientError("MySQL error 3100: before_commit", "too_large")

    writer = FakeWriter(fault)
    service = flusher(writer, max_events=40)
    for start in range(0, 80, 5):
        service.put(chunk(start, 5))
    while service.buffer:
        await service.flush()
    assert writer.stored == list(range(80))
    assert len([size for size in sizes if size > 12]) == 3, "40 and its two parts"
    assert service.stuck is None
