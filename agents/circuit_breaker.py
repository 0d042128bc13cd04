"""The circuit breaker: a partition full of bad events must not become a flood of dead letters.

Each partition is judged by itself. When almost every event of a window becomes a dead letter, by
the rules or because the database rejects its row, that partition is held: its events are dropped
here, unstored, and read again from the first of them when the breaker closes. None of them is kept,
so however many partitions are held, the others have all of the memory.

Pure state: no timing, no I/O.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.batch import Refused
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.stream import UNSTORABLE


class Example(NamedTuple):
    """An event that became a dead letter."""

    offset: int
    detail: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A held partition: since when (UTC), and why, in words."""

    partition: Partition
    opened: datetime
    reason: str


class _Seen(NamedTuple):
    events: int
    reasons: Mapping[str, int]
    examples: Mapping[str, Example]


class _Window:
    """The newest events, about as many as asked for; only numbers and examples are kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen: deque[_Seen] = deque()
        self._dead = 0
        self.events = 0

    def add(self, seen: _Seen) -> None:
        if not seen.events:
            return
        self._seen.append(seen)
        self.events += seen.events
        self._dead += sum(seen.reasons.values())
        while self.events - self._seen[0].events >= self._size:
            old = self._seen.popleft()
            self.events -= old.events
            self._dead -= sum(old.reasons.values())

    def is_full_of_dead_letters(self, share: float) -> bool:
        return self.events >= self._size and self._dead >= share * self.events

    def commonest(self) -> tuple[int, str, Example]:
        """How many are dead, the reason of most of them, and its newest example."""
        reasons: Counter[str] = Counter()
        for seen in self._seen:
            reasons.update(seen.reasons)
        reason, _ = reasons.most_common(1)[0]
        example = next(
            seen.examples[reason] for seen in reversed(self._seen) if reason in seen.examples
        )
        return self._dead, reason, example


@dataclass
class _State:
    """Of one partition.

    ``resume`` is the first offset that was dropped and has not been read again. Events below
    ``judged_until`` were judged before they were dropped: once the breaker is closed they pass.
    """

    read: _Window
    written: _Window
    opening: Opening | None = None
    resume: int | None = None
    judged_until: int = 0


@dataclass
class CircuitBreaker:
    """Decides, partition by partition, which chunks may be flushed.

    Args:
        share: of a window's events that opens it, above 0 and up to 1; 0 turns it off.
        window: how many of a partition's newest events are judged.
        now: the time, UTC.
    """

    share: float
    window: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _states: dict[Partition, _State] = field(default_factory=dict)

    @property
    def open(self) -> dict[Partition, Opening]:
        """The held partitions."""
        return {key: state.opening for key, state in sorted(self._states.items()) if state.opening}

    def admit(self, chunk: Chunk) -> bool:
        """Whether a chunk may be flushed; if not, its events must be read again."""
        if not self.share:
            return True
        state = self._state(chunk.partition)
        if state.opening is None:
            if state.resume is not None and chunk.start > state.resume:
                return False  # it was on its way before reading went back
            state.resume = None
            if chunk.start < state.judged_until:
                return True
            state.read.add(_seen(chunk))
            if not state.read.is_full_of_dead_letters(self.share):
                return True
            self._open(chunk.partition, state.read, "events would be dropped")
        state.resume = chunk.start if state.resume is None else min(state.resume, chunk.start)
        state.judged_until = max(state.judged_until, chunk.end)
        return False

    def stored(self, partition: Partition, rows: int, refused: Sequence[Refused]) -> None:
        """A batch stored so many rows of a partition, and the database rejected these."""
        if not self.share:
            return
        seen = _Seen(rows, {}, {})
        if refused:
            reason, newest = UNSTORABLE, refused[-1]
            seen = _Seen(
                rows + len(refused),
                {reason: len(refused)},
                {reason: Example(newest.offset, newest.detail)},
            )
        state = self._state(partition)
        if state.opening is None:
            state.written.add(seen)
            if state.written.is_full_of_dead_letters(self.share):
                self._open(partition, state.written, "rows were rejected")

    def close(self, partition: Partition) -> int | None:
        """Stop holding a partition, and begin with empty windows.

        Returns:
            The offset from which it must be read again; None where nothing of it was dropped.
        """
        state = self._states[partition]
        state.opening = None
        state.read, state.written = _Window(self.window), _Window(self.window)
        return state.resume

    def forget(self) -> None:
        """Forget all partitions: they will be read again from their stored offsets."""
        self._states.clear()

    def _state(self, partition: Partition) -> _State:
        if partition not in self._states:
            self._states[partition] = _State(_Window(self.window), _Window(self.window))
        return self._states[partition]

    def _open(self, partition: Partition, window: _Window, what: str) -> None:
        dead, reason, example = window.commonest()
        self._states[partition].opening = Opening(
            partition,
            self.now(),
            f"{dead} of the last {window.events} {what}, most of them {reason}, such as "
            f"{partition}/{example.offset}: {example.detail}",
        )


def _seen(chunk: Chunk) -> _Seen:
    return _Seen(
        chunk.events,
        Counter(letter.reason for letter in chunk.dead),
        {letter.reason: Example(letter.offset, letter.detail) for letter in chunk.dead},
    )
