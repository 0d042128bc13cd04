"""The buffer's invariants, against any order of calls."""

from datetime import UTC, datetime
from unittest.mock import ANY

from hypothesis import example, given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from pipeline.chunk import Chunk
from pipeline.flush.buffer import Buffer
from pipeline.memory import Memory
from pipeline.partition import Partition
from pipeline.record import PlainRecord

VALUE = b'{"event_id":"e","user_id":"u","product_id":"p","category":"c"}'


def chunk(start: int, size: int, memory: Memory | None = None) -> Chunk:
    records = [
        PlainRecord(offset, VALUE, timestamp=1000 * offset) for offset in range(start, start + size)
    ]
    lease = memory.hold(size, 0) if memory else None
    return Chunk.transform(
        FLASH_SALES, Partition("t", 0), start, start + max(1, size), records, lease=lease
    )


STEPS = st.one_of(st.integers(0, 9), st.sampled_from(["take", "done", "stick", "discard"]))


@given(st.lists(STEPS))
@example([3, "take", "stick", 2, "discard"])
@example([3, 2, "take", "stick", 1, "take", "done"])
def test_chunks_leave_in_order_and_memory_counts_what_is_held(steps):
    memory = Memory(1000, 1 << 30)
    buffer = Buffer()
    put: list[Chunk] = []
    out: list[Chunk] = []
    in_flight: list[Chunk] = []
    stuck: list[Chunk] = []
    offset = 0
    for step in steps:
        if isinstance(step, int):
            new = chunk(offset, step, memory)
            buffer.put(new)
            put.append(new)
            offset += max(1, step)
        elif step == "take" and not in_flight:
            taken = buffer.take(10, 1 << 20)
            assert (taken is None) == (not put[len(out) :])
            if taken:
                in_flight = taken[1]
                out += in_flight
                assert sum(c.events for c in in_flight) <= 10 or len(in_flight) == 1
        elif step == "done":
            buffer.done()
            in_flight, stuck = [], []
        elif step == "stick":
            stuck = in_flight[-1:]
            buffer.done(stuck)
            in_flight = []
        elif step == "discard":
            epoch = buffer.epoch
            forgotten = sum(c.events for c in (*put[len(out) :], *stuck))
            assert buffer.discard() == forgotten
            assert buffer.epoch == epoch + 1
            del put[len(out) :]
            stuck = []
        assert out == put[: len(out)]
        waiting = put[len(out) :]
        assert bool(buffer) == bool(waiting)
        assert buffer.waiting == sum(c.events for c in waiting)
        assert buffer.waiting_bytes == sum(c.size for c in waiting)
        assert (buffer.opened is None) == (not waiting)
        assert buffer.stuck == stuck
        held = [*waiting, *in_flight, *stuck]
        assert memory.events == buffer.events == sum(c.events for c in held)
        assert memory.bytes == sum(c.size for c in held)
        oldest = [c.oldest for c in held if c.oldest is not None]
        assert buffer.oldest_timestamp == min(oldest, default=None)


def test_flush_is_bounded_in_bytes_but_takes_a_chunk():
    buffer = Buffer()
    chunks = [chunk(start, 10) for start in (0, 10, 20)]
    for one in chunks:
        buffer.put(one)
    taken = buffer.take(1000, 2 * chunks[0].size)
    assert taken
    assert taken[1] == chunks[:2]
    buffer.done()
    taken = buffer.take(1000, 1)
    assert taken
    assert taken[1] == chunks[2:]


def test_a_batch_is_opened_by_the_first_chunk_that_is_in_it():
    buffer = Buffer()
    before = datetime.now(UTC)
    buffer.put(chunk(0, 10))
    opened = buffer.opened
    assert opened
    assert before <= opened <= datetime.now(UTC)
    for start in (10, 20):
        buffer.put(chunk(start, 10))
    after = datetime.now(UTC)
    assert buffer.take(20, 1 << 20) == (opened, ANY)
    assert buffer.opened
    assert buffer.opened >= after, "the rest waits for a batch of its own"
    buffer.done()
    taken = buffer.take(20, 1 << 20)
    assert taken
    assert taken[0] >= after
    assert taken[1][0].start == 20
