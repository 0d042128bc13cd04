"""A window of a partition's newest events: how many became dead letters, and why. Pure state."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.batch import Refused
from pipeline.chunk import Chunk
from pipeline.stream import UNSTORABLE


class Example(NamedTuple):
    """An event that became a dead letter."""

    offset: int
    detail: str


class Seen(NamedTuple):
    """Some events: how many, how many of them are dead letters by reason, and an example each."""

    events: int
    reasons: Mapping[str, int]
    examples: Mapping[str, Example]

    @classmethod
    def of(cls, chunk: Chunk) -> "Seen":
        """The events of a chunk, judged by the rules."""
        return cls(
            chunk.events,
            Counter(letter.reason for letter in chunk.dead),
            {letter.reason: Example(letter.offset, letter.detail) for letter in chunk.dead},
        )

    @classmethod
    def written(cls, rows: int, refused: Sequence[Refused]) -> "Seen":
        """The rows of a batch, judged by the database."""
        if not refused:
            return cls(rows, {}, {})
        newest = Example(refused[-1].offset, refused[-1].detail)
        count = len(refused)
        return cls(rows + count, {UNSTORABLE: count}, {UNSTORABLE: newest})

    @property
    def dead(self) -> int:
        return sum(self.reasons.values())


class Window:
    """The newest events, about as many as asked for; only numbers and examples are kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen: deque[Seen] = deque()
        self.dead = 0
        self.events = 0

    def add(self, seen: Seen) -> None:
        """Add events; the oldest leave."""
        if not seen.events:
            return
        self._seen.append(seen)
        self.events += seen.events
        self.dead += seen.dead
        while self.events - self._seen[0].events >= self._size:
            old = self._seen.popleft()
            self.events -= old.events
            self.dead -= old.dead

    def is_full_of_dead_letters(self, share: float) -> bool:
        """Whether it is full, and this share of it or more are dead letters."""
        return self.events >= self._size and self.dead >= share * self.events

    def commonest(self) -> tuple[str, Example]:
        """The reason of most of the dead letters, and its newest example; there must be one."""
        reasons: Counter[str] = Counter()
        for seen in self._seen:
            reasons.update(seen.reasons)
        reason, _ = reasons.most_common(1)[0]
        return reason, next(
            seen.examples[reason] for seen in reversed(self._seen) if reason in seen.examples
        )
