"""Bisects a failing write for the bad event, and distinguishes a bad event from an outage.

Pure state: it says what to write next and is given the outcome. A part that fails is split until a
single event is left, the suspect. That event is bad only if it cannot be stored and another one
can. So another event of the batch and then the suspect are each written alone and rolled back. If
both succeed, as when only COMMIT fails, the next event of another partition and then the suspect
are written and committed. If the other event fails as well, or if there is none, this is an outage:
the search ends and no event is blamed.

A bad event blocks its partition: nothing after it is written. Other partitions continue.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from pipeline.chunk import Chunk
from pipeline.errors import TransientError
from pipeline.partition import Partition

#: The golden ratio: the fractions of its multiples spread evenly over 0 to 1.
_GOLDEN = 0.618_033_988_749_895


class Trial(NamedTuple):
    """What to write next; a rehearsal is rolled back."""

    chunks: list[Chunk]
    is_rehearsal: bool = False


class Stuck(NamedTuple):
    """The chunk of one event that cannot be stored, and the server's error."""

    chunk: Chunk
    error: str


class Search:
    """Hands out trials until each event is stored or stuck, or until an outage is proven.

    Args:
        chunks: what to write; each partition's in the order of offsets.
        stuck: bad events found before; each precedes the chunks of its partition.
        places: where to take other events from, as a fraction of what is not written; each
            search of the same chunks should use another place.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        stuck: Mapping[Partition, Stuck] | None = None,
        places: Iterator[float] | None = None,
    ) -> None:
        #: The bad event of each blocked partition.
        self.stuck = dict(stuck or {})
        #: What is not stored: bad events and what follows them, in order.
        self.left: list[Chunk] = []
        #: Why it is an outage, if it is.
        self.outage: TransientError | None = None
        self._parts = deque([*([one.chunk] for one in self.stuck.values()), list(chunks)])
        self._places = spread() if places is None else places
        self._behind: set[Partition] = set()
        self._is_any_stored = False
        self._trials = self._run()

    def next(self, error: TransientError | None = None) -> Trial | None:
        """The next trial; None if the search is over.

        Args:
            error: that of the previous trial; None if it succeeded.
        """
        try:
            return self._trials.send(error)
        except StopIteration:
            return None

    def _run(self) -> Generator[Trial, TransientError | None, None]:
        while part := self._next_part():
            error = yield Trial(part)
            if error is None:
                self._is_any_stored = True
                for chunk in part:
                    self.stuck.pop(chunk.partition, None)
            elif len(part) > 1 or part[0].events > 1:
                # Its first event comes first: in an outage that fails too, and ends the search.
                self._parts.extendleft(reversed(_split(part, head=not self._is_any_stored)))
            else:
                yield from self._judge(part[0], error)
                if self.outage:
                    self.left += [chunk for part in self._parts for chunk in part]
                    return

    def _next_part(self) -> list[Chunk] | None:
        while self._parts:
            part = self._parts.popleft()
            self.left += [chunk for chunk in part if chunk.partition in self._behind]
            if free := [chunk for chunk in part if chunk.partition not in self._behind]:
                return free
        return None

    def _judge(
        self, suspect: Chunk, error: TransientError
    ) -> Generator[Trial, TransientError | None, None]:
        """Find out whether an event that failed alone is bad, or whether it is an outage."""
        known = self.stuck.get(suspect.partition)
        if known and known.error == str(error):
            self._blame(suspect, error)
            return
        other = self._other_event(suspect)
        if other is None or (yield Trial([other], is_rehearsal=True)):
            self._end(error, suspect)
            return
        if again := (yield Trial([suspect], is_rehearsal=True)):
            self._blame(suspect, again)
            return
        other = self._take_event_of_other_partition(suspect)
        if other is None:
            self._end(error, suspect)
        elif failed := (yield Trial([other])):
            self._end(failed, suspect, other)
        elif again := (yield Trial([suspect])):
            self._blame(suspect, again)
        else:
            self.stuck.pop(suspect.partition, None)

    def _blame(self, chunk: Chunk, error: TransientError) -> None:
        self.stuck[chunk.partition] = Stuck(chunk, str(error))
        self._behind.add(chunk.partition)
        self.left.append(chunk)

    def _end(self, error: TransientError, *chunks: Chunk) -> None:
        self.outage = error
        self.left += chunks

    def _other_event(self, suspect: Chunk) -> Chunk | None:
        """An event that is not written yet, possibly after a bad one.

        If all others are written, an empty chunk; None if there are no others.
        """
        heads = {id(one.chunk) for one in self.stuck.values()}
        waiting = [
            chunk
            for part in (self.left, *self._parts)
            for chunk in part
            if chunk.events and id(chunk) not in heads
        ]
        number = int(next(self._places) * sum(chunk.events for chunk in waiting))
        for chunk in waiting:
            if number < chunk.events:
                return chunk.event(number)
            number -= chunk.events
        return suspect.since(suspect.end) if self._is_any_stored else None

    def _take_event_of_other_partition(self, suspect: Chunk) -> Chunk | None:
        """The next event to be written of a partition that is not stuck."""
        excluded = {*self._behind, suspect.partition}
        for part in self._parts:
            for place, chunk in enumerate(part):
                if chunk.partition not in excluded:
                    head, rest = _cut(chunk)
                    part[place : place + 1] = rest
                    return head
        return None


def describe(stuck: Mapping[Partition, Stuck]) -> str:
    """What a person should know of events that cannot be stored; empty if there are none."""
    if not stuck:
        return ""
    chunk, error = next(iter(stuck.values()))
    offset = min((*chunk.offsets, *(one.offset for one in chunk.dead), chunk.end))
    where = ", ".join(map(str, stuck))
    return (
        f"{chunk.partition}/{offset}: {error}. Nothing is lost: it is retried, "
        f"{where} waits for it, and other partitions continue."
    )


def spread() -> Iterator[float]:
    """Numbers from 0 to 1, each far from those before; in the end they are everywhere."""
    return (number * _GOLDEN % 1 for number in count(1))


def _split(part: Sequence[Chunk], *, head: bool) -> list[list[Chunk]]:
    """The two halves of a part; or its first event and the halves of the rest."""
    if head:
        first, rest = _cut(part[0])
        return [[first], *_split([*rest, *part[1:]], head=False)]
    if len(part) > 1:
        middle = len(part) // 2
        return [list(part[:middle]), list(part[middle:])]
    return [[half] for half in part[0].split()] if part[0].events > 1 else [list(part)]


def _cut(chunk: Chunk) -> tuple[Chunk, list[Chunk]]:
    """The first event of a chunk, and the rest, if any."""
    if chunk.events < 2:
        return chunk, []
    head, rest = chunk.split(1)
    return head, [rest]
