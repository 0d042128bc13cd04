"""The buffer's invariants, against any order of calls."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pipeline.buffer import Buffer
from pipeline.chunk import Chunk

VALUE = b'{"event_id":"e","user_id":"u","product_id":"p","category":"c"}'


@dataclass
class Record:
    offset: int
    value: bytes | None = VALUE
    key: bytes | None = None
    timestamp: int | None = None


def chunk(start: int, size: int) -> Chunk:
    records = [Record(offset) for offset in range(start, start + size)]
    return Chunk.refine("t", 0, start, start + size, records)


@given(st.lists(st.one_of(st.integers(1, 9), st.sampled_from(["take", "done", "discard"]))))
def test_chunks_leave_in_order_and_held_counts_what_is_in_memory(steps):
    buffer = Buffer(capacity=20)
    put: list[Chunk] = []
    out: list[Chunk] = []
    in_hand: list[list[Chunk]] = []
    offset = 0
    for step in steps:
        if isinstance(step, int):
            new = chunk(offset, step)
            assert buffer.put(new, buffer.epoch)
            put.append(new)
            offset += step
        elif step == "take":
            taken = buffer.take(10)
            assert (taken is None) == (not put[len(out) :])
            if taken:
                out += taken[1]
                in_hand.append(taken[1])
                size = sum(len(c.records) for c in taken[1])
                assert size <= 10 or len(taken[1]) == 1
        elif step == "done" and in_hand:
            buffer.done(in_hand.pop())
        elif step == "discard":
            buffer.discard()
            del put[len(out) :]
        assert out == put[: len(out)]
        waiting = sum(len(c.records) for c in put[len(out) :])
        writing = sum(len(c.records) for chunks in in_hand for c in chunks)
        assert buffer.waiting == waiting
        assert buffer.held == waiting + writing


def test_room_is_bounded_but_a_chunk_larger_than_the_buffer_passes_when_it_is_empty():
    buffer = Buffer(capacity=10)
    assert buffer.has_room(chunk(0, 11))
    buffer.put(chunk(0, 6), buffer.epoch)
    assert buffer.has_room(chunk(6, 4))
    assert not buffer.has_room(chunk(6, 5))
    taken = buffer.take(10)
    assert taken
    assert not buffer.has_room(chunk(6, 5)), "what is being written is still in memory"
    buffer.done(taken[1])
    assert buffer.has_room(chunk(6, 5))


def test_a_chunk_of_an_epoch_that_is_over_is_refused():
    buffer = Buffer(capacity=10)
    epoch = buffer.epoch
    buffer.discard()
    assert not buffer.put(chunk(0, 1), epoch)
    assert buffer.take(10) is None


def test_what_is_being_written_still_counts_as_in_memory():
    buffer = Buffer(capacity=20)
    assert (buffer.row_bytes, buffer.oldest_timestamp) == (0, None)
    first, second = (
        Chunk.refine("t", 0, start, start + 1, [Record(start, timestamp=1000 * start)])
        for start in (3, 4)
    )
    for one in (first, second):
        buffer.put(one, buffer.epoch)
    taken = buffer.take(1)
    assert taken is not None
    assert buffer.row_bytes == len(first.rows) + len(second.rows)
    assert buffer.oldest_timestamp == 3000
    buffer.done(taken[1])
    assert buffer.row_bytes == len(second.rows)
    assert buffer.oldest_timestamp == 4000
