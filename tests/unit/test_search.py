"""An error that comes back on a batch is narrowed to one event; everything else continues."""

from hypothesis import given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from pipeline.chunk import Chunk
from pipeline.record import PlainRecord
from pipeline.search import Search


def chunk(partition: int, start: int, size: int) -> Chunk:
    value = b'{"event_id":"e","user_id":"u","category":"c"}'
    records = [PlainRecord(offset, value) for offset in range(start, start + size)]
    return Chunk.transform(FLASH_SALES, "t", partition, start, start + max(1, size), records)


CULPRITS = st.sets(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=9), CULPRITS)
def test_all_is_written_in_order_but_what_is_behind_a_culprit(sizes, culprits):
    ends = dict.fromkeys(range(3), 0)
    chunks = []
    for partition, size in sizes:
        chunks.append(chunk(partition, ends[partition], size))
        ends[partition] = chunks[-1].end

    def run(search):
        while part := search.next():
            bad = {(one.partition, offset) for one in part for offset in one.offsets} & culprits
            if bad:
                search.failed(part)
                continue
            for one in part:
                assert one.start == done[one.partition], "no gap"
                done[one.partition] = one.end
        return search

    done = dict.fromkeys(range(3), 0)
    search = run(Search(chunks))
    sent = {(one.partition, offset) for one in chunks for offset in one.offsets}
    for partition in range(3):
        bad = [offset for number, offset in sorted(culprits & sent) if number == partition]
        if bad:
            assert search.stuck["t", partition].offsets[0] == bad[0]
            assert done[partition] == search.stuck["t", partition].start
        else:
            assert done[partition] == ends[partition]
    culprits = set()
    heads = list(search.stuck.values())
    behind = [one for one in search.left if all(one is not head for head in heads)]
    again = run(Search(behind, heads))
    assert done == ends, "when the cause is gone nothing is missing"
    assert (again.stuck, again.left) == ({}, [])
