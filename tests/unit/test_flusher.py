"""The flusher against a writer that fails as told: the faults a real server makes rarely."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

import pipeline.flusher
from pipeline.batch import Batch, empty_drops
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, OffsetGapError, RowError, TransientError
from pipeline.flusher import Flusher

Fault = Callable[[int, list[Chunk]], object]


@dataclass
class Record:
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int | None = None


def chunk(start: int, size: int) -> Chunk:
    records = [
        Record(offset, b'{"event_id":"%d","user_id":"u","category":"c"}' % offset)
        for offset in range(start, start + size)
    ]
    return Chunk.transform("t", 0, start, start + max(1, size), records)


class FakeWriter:
    """Keeps what it is given; ``fault`` may raise first."""

    def __init__(self, fault: Fault = lambda number, chunks: None) -> None:
        self.fault = fault
        self.tries: list[int] = []
        self.stored: list[int] = []
        self.events = 1
        #: Offsets of events that Kafka no longer has.
        self.gone: set[int] = set()
        self.dead: dict[int, str] = {}
        self.values: dict[int, bytes | None] = {}

    def write(self, number: int, opened: datetime, chunks: list[Chunk]) -> Batch:
        self.tries.append(number)
        self.fault(number, chunks)
        for piece in chunks:
            self.dead |= {letter.offset: letter.detail for letter in piece.dead}
            self.values |= {letter.offset: letter.value for letter in piece.dead}
            self.stored += piece.offsets
        now = datetime.now(UTC)
        return Batch(number, opened, now, 0.0, self.events, 0, empty_drops(), {}, {}, 0.0, {})


def flusher(writer: FakeWriter, **settings: float) -> Flusher:
    async def reread(topic: str, partition: int, offset: int) -> Record | None:
        return None if offset in writer.gone else Record(offset, b"sent %d" % offset)

    options = {"interval": 60, "max_events": 10, "max_bytes": 1 << 20, "stop_timeout": 0.5}
    return Flusher(writer, reread=reread, **{**options, **settings})  # type: ignore[arg-type]


def refuse(*bad: int) -> Fault:
    def fault(number: int, chunks: list[Chunk]) -> None:
        for piece in chunks:
            if any(offset in bad for offset in piece.offsets):
                raise RowError("CHECK `no_free_lunch` failed")

    return fault


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(pipeline.flusher, "_BACKOFF", lambda state: 0.01)


async def test_a_refused_row_costs_only_itself():
    writer = FakeWriter(refuse(3, 17))
    service = flusher(writer, max_events=100)
    for start in (0, 10):
        service.put(chunk(start, 10), service.buffer.epoch)
    await service.flush()
    assert writer.stored == [n for n in range(20) if n not in {3, 17}], "in order, none twice"
    assert writer.dead == dict.fromkeys((3, 17), "the database says: CHECK `no_free_lunch` failed")


async def test_who_listens_is_told_of_each_refused_row_once():
    told: list[tuple[str, int, str, int]] = []
    service = flusher(FakeWriter(refuse(3, 17)), max_events=100)
    service._on_refused = lambda *refused: told.append(refused)
    service.put(chunk(0, 20), service.buffer.epoch)
    await service.flush()
    words = "the database says: CHECK `no_free_lunch` failed"
    assert told == [("t", 0, words, 3), ("t", 0, words, 17)]


async def test_an_outage_is_waited_out_and_costs_nothing():
    outage = iter([TransientError("gone away")] * 5)

    def fault(number: int, chunks: list[Chunk]) -> None:
        for error in outage:
            raise error

    writer = FakeWriter(fault)
    service = flusher(writer)
    service.put(chunk(0, 5), service.buffer.epoch)
    await service.flush()
    assert writer.stored == list(range(5))
    assert writer.dead == {}
    assert writer.tries == [1] * 6, "the same write again, under the same number"
    assert service.trouble is None


async def test_a_refused_row_is_kept_as_it_was_sent_or_made_from_its_row():
    writer = FakeWriter(refuse(3, 5))
    writer.gone = {5}
    service = flusher(writer, max_events=100)
    service.put(chunk(0, 8), service.buffer.epoch)
    await service.flush()
    assert writer.values[3] == b"sent 3"
    rebuilt = json.loads(writer.values[5] or b"")
    assert rebuilt["event_id"] == "5"
    assert "made from its row" in writer.dead[5]


async def test_what_was_read_before_partitions_went_is_not_written():
    """Its events are read again; written now, they would hide those forgotten before them."""
    writer = FakeWriter()
    service = flusher(writer)
    epoch = service.buffer.epoch
    await service.drain()
    service.put(chunk(20, 10), epoch)
    await service.flush()
    assert writer.stored == []


async def test_offsets_without_events_are_written_and_say_nothing(caplog):
    writer = FakeWriter()
    told: list[int] = []
    service = flusher(writer)
    service._listeners = [lambda batch: told.append(batch.events)]
    service.put(chunk(0, 0), service.buffer.epoch)
    writer.events = 0
    with caplog.at_level("INFO"):
        await service.drain()
    assert writer.tries == [1]
    assert told == [0]
    assert "Batch" not in caplog.text


async def test_draining_writes_what_is_buffered():
    writer = FakeWriter()
    service = flusher(writer)
    service.put(chunk(0, 10), service.buffer.epoch)
    service.put(chunk(10, 10), service.buffer.epoch)
    await service.drain()
    assert writer.stored == list(range(20))


async def test_draining_ends_in_time_when_the_database_is_away():
    def away(number: int, chunks: list[Chunk]) -> None:
        raise TransientError("away")

    service = flusher(FakeWriter(away))
    service.put(chunk(0, 10), service.buffer.epoch)
    await asyncio.wait_for(service.drain(), 2)
    assert not service.buffer


async def test_a_dead_letter_that_is_refused_ends_the_worker_instead_of_turning_for_ever():
    def refuse_all(number: int, chunks: list[Chunk]) -> None:
        raise RowError("Unknown column")

    service = flusher(FakeWriter(refuse_all))
    service.put(chunk(0, 1), service.buffer.epoch)
    with pytest.raises(FatalError):
        await service.flush()


async def test_a_fatal_error_ends_the_service_with_status_1():
    def hole(number: int, chunks: list[Chunk]) -> None:
        raise OffsetGapError("changed behind the worker")

    service = flusher(FakeWriter(hole), interval=0.01)
    service.put(chunk(0, 1), service.buffer.epoch)
    await service.start()
    for _ in range(200):
        if service.crashed:
            break
        await asyncio.sleep(0.01)
    await service.stop()
    assert isinstance(service.crash_reason, SystemExit)
    assert service.crash_reason.code == 1


async def test_a_batch_is_written_when_the_interval_is_over_and_at_once_when_full():
    writer = FakeWriter()
    service = flusher(writer, interval=0.1)
    await service.start()
    service.put(chunk(0, 1), service.buffer.epoch)
    await asyncio.sleep(0.5)
    assert writer.stored == [0]
    await service.stop()

    writer = FakeWriter()
    service = flusher(writer, interval=60)
    await service.start()
    service.put(chunk(0, 10), service.buffer.epoch)
    await asyncio.sleep(0.2)
    assert writer.stored == list(range(10))
    await service.stop()


async def test_each_write_is_a_sign_of_life_while_refused_rows_are_found():
    seen: list[float | None] = []

    def fault(number: int, chunks: list[Chunk]) -> None:
        seen.append(service.last_tick)
        refuse(3)(number, chunks)

    service = flusher(FakeWriter(fault), max_events=100)
    service.put(chunk(0, 20), service.buffer.epoch)
    await service.flush()
    assert len(seen) > 5
    assert len(set(seen)) == len(seen), "it moved between any two writes"
