"""A write that fails is bisected for the event at fault; an outage names none."""

from collections.abc import Callable, Sequence
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.flash_sales import FLASH_SALES
from pipeline.chunk import Chunk
from pipeline.errors import TOO_LARGE, TransientError
from pipeline.flush.search import Search, Trial, spread
from pipeline.partition import Partition
from pipeline.record import PlainRecord

EVENT = b'{"event_id":"e","user_id":"u","category":"c"}'
SIZES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=9)
GUILTY = st.sets(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=12)
Fails = Callable[[Trial], bool]


def chunk(partition: int, start: int, size: int) -> Chunk:
    records = [PlainRecord(offset, EVENT) for offset in range(start, start + size)]
    return Chunk.transform(
        FLASH_SALES, Partition("t", partition), start, start + max(1, size), records
    )


def chunks_of(sizes: Sequence[tuple[int, int]]) -> list[Chunk]:
    ends = dict.fromkeys(range(3), 0)
    chunks = []
    for partition, size in sizes:
        chunks.append(chunk(partition, ends[partition], size))
        ends[partition] = chunks[-1].end
    return chunks


def events(chunks: Sequence[Chunk]) -> set[tuple[int, int]]:
    return {(one.partition.number, offset) for one in chunks for offset in one.offsets}


class Table:
    """Stores what a search writes, in order; ``fails`` says which trials fail."""

    def __init__(self, fails: Fails, kind: str = "other") -> None:
        self.fails = fails
        self.kind = kind
        self.ends = dict.fromkeys(range(3), 0)
        self.writes = self.rehearsals = 0

    def search(self, chunks: Sequence[Chunk], **given: object) -> Search:
        """One search, to its end."""
        search = Search(chunks, **given)  # type: ignore[arg-type]
        trial = search.next()
        while trial:
            assert trial.chunks
            self.rehearsals += trial.is_rehearsal
            self.writes += not trial.is_rehearsal
            error = TransientError("x", self.kind) if self.fails(trial) else None
            if not error and not trial.is_rehearsal:
                for one in trial.chunks:
                    assert one.start == self.ends[one.partition.number], "no gap"
                    self.ends[one.partition.number] = one.end
            trial = search.next(error)
        return search

    def searches(self, chunks: Sequence[Chunk], most: int = 200) -> Search:
        """As many as are needed until it is clear what is at fault."""
        places = spread()
        search = self.search(chunks, places=places)
        for _ in range(most):
            if not search.outage:
                break
            search = self.search(behind(search), stuck=search.stuck, places=places)
        return search


def behind(search: Search) -> list[Chunk]:
    """What is left besides the events at fault."""
    heads = [one.chunk for one in search.stuck.values()]
    return [one for one in search.left if all(one is not head for head in heads)]


def named(search: Search) -> set[tuple[int, int]]:
    return events([one.chunk for one in search.stuck.values()])


@given(SIZES, GUILTY, st.sampled_from(["other", TOO_LARGE]))
# The only good event left waits behind one at fault.
@example([(1, 2), (0, 7)], {(1, 0), (0, 5), (0, 6)}, "other")
def test_first_guilty_event_of_each_partition_waits(sizes, guilty, kind):
    chunks = chunks_of(sizes)
    ends = dict.fromkeys(range(3), 0) | {one.partition.number: one.end for one in chunks}
    first: dict[int, int] = {}
    for partition, offset in sorted(events(chunks) & guilty):
        first.setdefault(partition, offset)
    table = Table(lambda trial: bool(events(trial.chunks) & guilty), kind)
    search = table.searches(chunks)
    assert named(search) <= set(first.items()), "no innocent event is named"
    if search.outage:
        assert events(search.left) <= guilty, "nothing is left that could be stored"
    else:
        assert named(search) == set(first.items())
        assert all(table.ends[one] == first.get(one, ends[one]) for one in ends)

    table.fails = lambda trial: False
    again = table.search(behind(search), stuck=search.stuck)
    assert table.ends == ends, "nothing is missing once the cause is gone"
    assert (again.stuck, again.left, again.outage) == ({}, [], None)


FAULTS: dict[str, Fails] = {
    "everything": lambda trial: True,
    "inserts": lambda trial: bool(events(trial.chunks)),
    "commits": lambda trial: not trial.is_rehearsal,
}


@given(SIZES, st.sampled_from(sorted(FAULTS)), st.integers(0, 30), st.integers(1, 30))
def test_outage_names_no_event(sizes, fault, begin, length):
    """Whenever it begins, also in the middle of a search, and whenever it ends."""
    chunks = chunks_of(sizes)
    ends = dict.fromkeys(range(3), 0) | {one.partition.number: one.end for one in chunks}
    trials = count()
    table = Table(lambda trial: begin <= next(trials) < begin + length and FAULTS[fault](trial))
    search = table.searches(chunks)
    assert (search.stuck, search.left, search.outage) == ({}, [], None)
    assert table.ends == ends


@pytest.mark.parametrize("fault", FAULTS)
def test_search_in_an_outage_is_short(fault):
    table = Table(FAULTS[fault])
    search = table.search([chunk(number, 0, 2_000) for number in range(3)])
    assert search.outage
    assert table.writes <= 3, "the whole batch, and an event of two partitions at most"
    assert table.rehearsals <= 2


@pytest.mark.parametrize("place", [0, 1, 2_499, 4_998, 4_999])
@pytest.mark.parametrize("kind", ["other", TOO_LARGE])
def test_one_of_thousands_is_found_in_a_few_writes(place, kind):
    bad = {(1, place)}
    table = Table(lambda trial: bool(events(trial.chunks) & bad), kind)
    search = table.search([chunk(number, 0, 5_000) for number in range(3)])
    assert named(search) == bad
    assert table.writes + table.rehearsals <= 40
    assert table.ends == {0: 5_000, 1: place, 2: 5_000}


def test_event_that_only_a_commit_refuses_is_found():
    """Where an event of another partition can be stored meanwhile."""
    table = Table(lambda trial: not trial.is_rehearsal and bool(events(trial.chunks) & {(0, 2)}))
    search = table.search([chunk(0, 0, 9), chunk(1, 0, 9)])
    assert named(search) == {(0, 2)}
    assert table.ends == {0: 2, 1: 9, 2: 0}


def test_single_event_is_never_named():
    table = Table(lambda trial: bool(events(trial.chunks)))
    search = table.search([chunk(0, 7, 1)])
    assert search.outage
    assert search.stuck == {}


def test_event_at_fault_stays_named_in_an_outage():
    bad = {(0, 3)}
    table = Table(lambda trial: bool(events(trial.chunks) & bad))
    search = table.search([chunk(0, 0, 9), chunk(1, 0, 9)])
    table.fails = lambda trial: True
    later = table.search([*behind(search), chunk(1, 9, 9)], stuck=search.stuck)
    assert later.outage
    assert named(later) == bad
