"""The circuit breaker: a partition full of bad events must not become a flood of dead letters.

Each partition is judged by itself. When almost every event of a window becomes a dead letter, by
the rules or because the database rejects its row, its breaker opens: the partition is paused, its
events are dropped here, unstored, and read again later. None of them is kept, so however many
partitions are paused, the others have all of the memory.

After a pause the breaker is half open: it lets a window through and waits until that is stored. If
almost all of it became dead letters, the breaker opens again for a longer pause; else it closes.
If the newest events of the log are good again, the bad ones before them are a bounded backlog:
then ``BACKLOG`` windows pass at once, and the pause does not grow.

Pure state: no I/O, and time only as seconds of a clock that is never set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic

from agents.window import Seen, Window
from pipeline.batch import Refused
from pipeline.chunk import Chunk
from pipeline.partition import Partition

#: Seconds that a pause lasts at most, unless the first one is longer.
LONGEST_PAUSE = 600.0
#: Windows that pass at once where the newest events are good, or a person closes the breaker.
BACKLOG = 10
#: What the reason of an opening says where the database rejected the rows.
REJECTED = "rows were rejected"


@dataclass(frozen=True, slots=True)
class Opening:
    """An open breaker: why, in words, since when, and when the next attempt is due.

    Times are seconds of the breaker's clock; ``due`` is infinite where it waits for a person.
    """

    partition: Partition
    reason: str
    since: float
    due: float

    @property
    def is_by_database(self) -> bool:
        """Whether the database rejected the rows: then the events alone do not tell the cause."""
        return REJECTED in self.reason


@dataclass(slots=True)
class _Attempt:
    """The events that a half-open breaker lets through.

    ``size`` of them at most, ``left`` are to come, ``end`` is the offset after the last one;
    ``dead`` and ``rows`` are what became of them so far.
    """

    size: int
    is_backlog: bool
    left: int
    end: int = 0
    dead: int = 0
    rows: int = 0


@dataclass(slots=True)
class _State:
    """Of one partition.

    ``resume`` is the first offset dropped and not read again since; all below ``passed`` were
    admitted.
    """

    read: Window
    written: Window
    opening: Opening | None = None
    attempt: _Attempt | None = None
    resume: int | None = None
    passed: int = 0

    @property
    def flows(self) -> bool:
        return self.opening is None or (self.attempt is not None and self.attempt.left > 0)


@dataclass
class CircuitBreaker:
    """Decides, partition by partition, which events may be flushed.

    Args:
        share: of a window's events that opens it, above 0 and up to 1; 0 turns it off.
        window: how many of a partition's newest events are judged.
        pause: seconds until the first attempt, which double; 0 waits for a person.
        clock: seconds that only ever grow.
    """

    share: float
    window: int
    pause: float = 0.0
    clock: Callable[[], float] = monotonic
    _states: dict[Partition, _State] = field(default_factory=dict)
    #: Partitions that flow again, and the offset from which they must be read again.
    _rewinds: dict[Partition, int] = field(default_factory=dict)

    @property
    def open(self) -> dict[Partition, Opening]:
        """The open breakers, half-open ones included."""
        return {key: state.opening for key, state in sorted(self._states.items()) if state.opening}

    @property
    def held(self) -> set[Partition]:
        """The partitions that must not be read now."""
        return {key for key, state in self._states.items() if not state.flows}

    def is_half_open(self, partition: Partition) -> bool:
        """Whether an attempt is under way."""
        return self._state(partition).attempt is not None

    @property
    def due(self) -> list[Partition]:
        """The partitions whose next attempt is due."""
        now = self.clock()
        return [key for key, when in self._waiting() if when <= now]

    @property
    def next_due(self) -> float:
        """When the next attempt is due; infinite where there is none."""
        return min((when for _, when in self._waiting()), default=inf)

    def admit(self, chunk: Chunk) -> Chunk | None:
        """The part of a chunk that may be flushed; what comes after it must be read again."""
        if not self.share:
            return chunk
        state = self._state(chunk.partition)
        if chunk.end <= state.passed:
            return None  # fetched twice: reading went back twice
        part = self._admit(state, chunk.since(state.passed))
        if part:
            state.passed = part.end
        return part

    def stored(self, partition: Partition, rows: int, refused: Sequence[Refused], end: int) -> None:
        """A batch stored a partition's events below ``end``: so many rows; these were rejected."""
        if not self.share:
            return
        state = self._state(partition)
        attempt = state.attempt
        if state.opening and not attempt:
            return  # from before it opened
        state.written.add(Seen.written(rows, refused))
        if not attempt:
            if state.written.is_full_of_dead_letters(self.share):
                self._open(state, partition, state.written, REJECTED)
            return
        attempt.rows += rows
        attempt.dead += len(refused)
        # Enough rows for a window, whatever the rest becomes; or no rest: duplicates are neither.
        is_good = self.window - attempt.rows < self.share * self.window
        if not self._judge(state, partition) and (
            is_good or (not attempt.left and end >= attempt.end)
        ):
            self._close(state, partition)

    def attempt(self, partition: Partition, *, is_backlog: bool) -> None:
        """Let a window through; ``BACKLOG`` windows where the bad events are a backlog."""
        state = self._state(partition)
        if not state.opening or state.attempt:
            return
        size = self.window * (BACKLOG if is_backlog else 1)
        state.attempt = _Attempt(size, is_backlog, left=size)
        state.read, state.written = Window(size), Window(size)
        self._rewind(state, partition)

    def hold(
        self, partition: Partition, reason: str, age: float = 0.0, due_in: float = inf
    ) -> None:
        """Pause a partition that was opened elsewhere, so long ago; ends an attempt under way."""
        state, now = self._state(partition), self.clock()
        due = now + min(max(0.0, due_in), self._longest) if self.pause and due_in < inf else inf
        state.opening = Opening(partition, reason, now - max(0.0, age), due)
        state.attempt = None
        # Reading may have been about to go back: what comes next is to be dropped all the same.
        self._rewinds.pop(partition, None)

    def take_rewinds(self) -> dict[Partition, int]:
        """Partitions that flow again, and from which offset they must be read; once each."""
        found, self._rewinds = self._rewinds, {}
        return found

    def forget(self) -> None:
        """Forget all partitions: they will be read again from their stored offsets."""
        self._states.clear()
        self._rewinds.clear()

    @property
    def _longest(self) -> float:
        return max(LONGEST_PAUSE, self.pause)

    def _waiting(self) -> list[tuple[Partition, float]]:
        return [
            (key, state.opening.due)
            for key, state in self._states.items()
            if state.opening and not state.attempt
        ]

    def _state(self, partition: Partition) -> _State:
        if partition not in self._states:
            self._states[partition] = _State(Window(self.window), Window(self.window))
        return self._states[partition]

    def _admit(self, state: _State, chunk: Chunk) -> Chunk | None:
        if state.flows and state.resume is not None:
            if chunk.start > state.resume:
                return None  # it was on its way before reading went back
            state.resume = None
        if not state.flows:
            self._drop(state, chunk.start)
            return None
        if state.attempt:
            return self._let_through(state, state.attempt, chunk)
        state.read.add(Seen.of(chunk))
        if not state.read.is_full_of_dead_letters(self.share):
            return chunk
        self._open(state, chunk.partition, state.read, "events would be dropped")
        self._drop(state, chunk.start)
        return None

    def _drop(self, state: _State, start: int) -> None:
        state.resume = start if state.resume is None else min(state.resume, start)

    def _let_through(self, state: _State, attempt: _Attempt, chunk: Chunk) -> Chunk:
        part = chunk
        if chunk.events > attempt.left:
            part, rest = chunk.split(attempt.left)
            self._drop(state, rest.start)
        seen = Seen.of(part)
        state.read.add(seen)
        attempt.left -= part.events
        attempt.dead += seen.dead
        attempt.end = part.end
        self._judge(state, chunk.partition)
        return part

    def _judge(self, state: _State, partition: Partition) -> bool:
        """Open again where almost all of an attempt's events are dead letters."""
        attempt = state.attempt
        if not attempt or attempt.dead < self.share * attempt.size:
            return False
        window = max(state.written, state.read, key=lambda one: one.dead)
        what = REJECTED if window is state.written else "events were dropped"
        self._open(state, partition, window, what)
        return True

    def _open(self, state: _State, partition: Partition, window: Window, what: str) -> None:
        now, attempt = self.clock(), state.attempt
        reason, example = window.commonest()
        opening = Opening(
            partition,
            f"{window.dead} of the last {window.events} {what}, most of them {reason}, such as "
            f"{partition}/{example.offset}: {example.detail}",
            state.opening.since if state.opening else now,
            inf,
        )
        if self.pause:
            # As long as it has been open and the first pause: they double, in every worker.
            pause = now - opening.since + self.pause
            if attempt and attempt.is_backlog and not opening.is_by_database:
                pause = self.pause
            opening = replace(opening, due=now + min(pause, self._longest))
        state.opening, state.attempt = opening, None

    def _close(self, state: _State, partition: Partition) -> None:
        state.opening = state.attempt = None
        state.read, state.written = Window(self.window), Window(self.window)
        self._rewind(state, partition)

    def _rewind(self, state: _State, partition: Partition) -> None:
        if state.resume is not None:
            self._rewinds[partition] = state.resume
