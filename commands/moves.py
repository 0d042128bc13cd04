"""Stored offsets about to change: what that does to the group's events, said before it is done."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from commands.confirm import confirm
from config.settings import Settings
from db.write.offsets import OffsetStore
from source.log_reader import Bounds

Say = Callable[[str], None]


class Move(NamedTuple):
    """The offset of a partition, before and after.

    ``stored`` is None where the group has not begun the partition; ``replaced`` tells that
    ``stored`` is of another log, which the topic had under this name.
    """

    stored: int | None
    new: int
    bounds: Bounds
    replaced: bool = False
    remark: str = ""

    @property
    def again(self) -> int:
        """Offsets that were read and are read again."""
        if self.stored is None or self.replaced:
            return 0
        return max(0, self.stored - max(self.new, self.bounds.beginning))

    @property
    def left_out(self) -> int:
        """Offsets that were not read and are passed over."""
        unread = self.bounds.beginning
        if self.stored is not None and not self.replaced:
            unread = max(unread, self.stored)
        return max(0, self.new - unread)

    @property
    def is_change(self) -> bool:
        """Whether anything is to be stored."""
        return self.replaced or self.new != self.stored


def carry_out(
    settings: Settings,
    store: OffsetStore,
    moves: Mapping[int, Move],
    say: Say,
    *,
    told: str,
    ask: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Say what the moves are, ask where that is wanted, and store them.

    Args:
        settings: which topic.
        store: the group's offsets.
        moves: by partition.
        say: prints a line.
        told: what the moves do to the group's events.
        ask: whether a person must agree.
        yes: whether one does already.
        dry_run: whether nothing is to be changed.

    Raises:
        click.ClickException: the answer was no.
        TransientError, FatalError: see ``pipeline.errors``; nothing was changed.
    """
    for partition, move in sorted(moves.items()):
        remark = f" ({move.remark})" if move.remark else ""
        stored = "none" if move.stored is None else move.stored
        say(f"{settings.topic}/{partition}: {stored} → {move.new}{remark}")
    changed = {partition: move for partition, move in moves.items() if move.is_change}
    if not changed:
        say("These are the stored offsets already: there is nothing to change.")
        return
    if dry_run:
        say(f"{told} Nothing was changed (--dry-run).")
        return
    if not ask:
        say(told)
    else:
        confirm(f"{told} Change the stored offsets?", yes)
    store.set(settings.topic, {partition: move.new for partition, move in changed.items()})
    say(f"Stored. A worker that runs notices within 10 s and {_then(changed)}.")


def _then(moves: Mapping[int, Move]) -> str:
    """What a running worker does with the moves."""
    if all(move.stored is not None and move.new >= move.stored for move in moves.values()):
        return "follows: it reads what lies between and stores none of it, until it is restarted"
    return "ends with exit status 1: start it again, unless your platform does"


def effect(moves: Mapping[int, Move], deduplicate: bool) -> str:
    """What these moves do, in a sentence with numbers; offsets stand for events."""
    again = sum(move.again for move in moves.values())
    left_out = sum(move.left_out for move in moves.values())
    parts = []
    if again:
        rows = (
            "DEDUPLICATE leaves out those that are stored"
            if deduplicate
            else "their rows are stored twice, as DEDUPLICATE is false"
        )
        parts.append(f"{_events(again)} read again ({rows})")
    if left_out:
        parts.append(f"{_events(left_out)} left out, never read by this group")
    if not parts:
        return "No event is read again, and none is left out."
    return f"{' and '.join(parts)}; counted by offsets."


def _events(number: int) -> str:
    return "1 event is" if number == 1 else f"{number} events are"
