"""The flusher against a writer that fails as told: the faults a real server makes rarely."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

import pipeline.flusher
from pipeline.batch import Batch, empty_drops
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, HoleError, RowError, TransientError
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
    return Chunk.refine("t", 0, start, start + size, records)


class FakeWriter:
    """Keeps what it is given; ``fault`` may raise first."""

    def __init__(self, fault: Fault = lambda number, chunks: None) -> None:
        self.fault = fault
        self.tries: list[int] = []
        self.stored: list[int] = []
        self.condemned: dict[int, str] = {}

    def write(self, number: int, opened: datetime, chunks: list[Chunk]) -> Batch:
        self.tries.append(number)
        self.fault(number, chunks)
        for piece in chunks:
            dead = {letter.record.offset: letter.detail for letter in piece.dead}
            self.condemned |= dead
            self.stored += [r.offset for r in piece.records if r.offset not in dead]
        now = datetime.now(UTC)
        return Batch(number, opened, now, 0.0, 0, 0, empty_drops(), {}, {}, 0.0, {})


def flusher(writer: FakeWriter, **settings: float) -> Flusher:
    options = {"interval": 60, "flush_max_rows": 10, "buffer_max_rows": 20, "stop_timeout": 0.5}
    return Flusher(writer, **{**options, **settings})  # type: ignore[arg-type]


def refuse(*bad: int) -> Fault:
    def fault(number: int, chunks: list[Chunk]) -> None:
        for piece in chunks:
            dead = {letter.record.offset for letter in piece.dead}
            if any(r.offset in bad and r.offset not in dead for r in piece.records):
                raise RowError("CHECK `no_free_lunch` failed")

    return fault


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(pipeline.flusher, "_BACKOFF", lambda state: 0.01)


async def test_a_refused_row_costs_only_itself():
    writer = FakeWriter(refuse(3, 17))
    service = flusher(writer, flush_max_rows=100, buffer_max_rows=100)
    for start in (0, 10):
        await service.put(chunk(start, 10), service.buffer.epoch)
    await service.flush()
    assert writer.stored == [n for n in range(20) if n not in {3, 17}], "in order, none twice"
    assert writer.condemned == dict.fromkeys(
        (3, 17), "the database says: CHECK `no_free_lunch` failed"
    )


async def test_an_outage_is_waited_out_and_costs_nothing():
    outage = iter([TransientError("gone away")] * 5)

    def fault(number: int, chunks: list[Chunk]) -> None:
        for error in outage:
            raise error

    writer = FakeWriter(fault)
    service = flusher(writer)
    await service.put(chunk(0, 5), service.buffer.epoch)
    await service.flush()
    assert writer.stored == list(range(5))
    assert writer.condemned == {}
    assert writer.tries == [1] * 6, "the same write again, under the same number"
    assert service.trouble is None


async def test_a_full_buffer_makes_the_agent_wait_until_a_write_is_done():
    writer = FakeWriter()
    service = flusher(writer)
    await service.put(chunk(0, 10), service.buffer.epoch)
    await service.put(chunk(10, 10), service.buffer.epoch)
    waiting = asyncio.create_task(service.put(chunk(20, 10), service.buffer.epoch))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await service.flush()
    await asyncio.wait_for(waiting, 1)
    assert service.buffer.held == 20


async def test_what_waited_while_partitions_went_is_not_written():
    """Its events are read again; written now, they would hide those forgotten before them."""
    stuck = threading.Event()
    writer = FakeWriter(lambda number, chunks: [stuck.wait(2)])
    service = flusher(writer)
    await service.put(chunk(0, 20), service.buffer.epoch)
    late = asyncio.create_task(service.put(chunk(20, 10), service.buffer.epoch))
    await asyncio.sleep(0.05)
    await service.let_go()
    stuck.set()
    await asyncio.wait_for(late, 1)
    assert service.buffer.waiting == 0


async def test_letting_go_writes_what_is_buffered():
    writer = FakeWriter()
    service = flusher(writer)
    await service.put(chunk(0, 10), service.buffer.epoch)
    await service.put(chunk(10, 10), service.buffer.epoch)
    await service.let_go()
    assert writer.stored == list(range(20))


async def test_letting_go_ends_in_time_when_the_database_is_away():
    def away(number: int, chunks: list[Chunk]) -> None:
        raise TransientError("away")

    service = flusher(FakeWriter(away))
    await service.put(chunk(0, 10), service.buffer.epoch)
    await asyncio.wait_for(service.let_go(), 2)
    assert service.buffer.held == 0


async def test_a_dead_letter_that_is_refused_ends_the_worker_instead_of_turning_for_ever():
    def refuse_all(number: int, chunks: list[Chunk]) -> None:
        raise RowError("Unknown column")

    service = flusher(FakeWriter(refuse_all))
    await service.put(chunk(0, 1), service.buffer.epoch)
    with pytest.raises(FatalError):
        await service.flush()


async def test_a_fatal_error_ends_the_service_with_status_1():
    def hole(number: int, chunks: list[Chunk]) -> None:
        raise HoleError("changed behind the worker")

    service = flusher(FakeWriter(hole), interval=0.01)
    await service.put(chunk(0, 1), service.buffer.epoch)
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
    await service.put(chunk(0, 1), service.buffer.epoch)
    await asyncio.sleep(0.5)
    assert writer.stored == [0]
    await service.stop()

    writer = FakeWriter()
    service = flusher(writer, interval=60)
    await service.start()
    await service.put(chunk(0, 10), service.buffer.epoch)
    await asyncio.sleep(0.2)
    assert writer.stored == list(range(10))
    await service.stop()
