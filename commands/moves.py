"""Changes stored offsets, after saying what that does to the group's events."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import click

from commands.confirm import confirm
from db.write.offsets import OffsetStore
from pipeline.partition import Partition
from source.cluster.group import GroupState, Member
from source.log_reader import Bounds

Say = Callable[[str], None]


class Move(NamedTuple):
    """A partition's offset before and after.

    ``stored`` is None if the group has not begun the partition. ``replaced`` means that ``stored``
    belongs to another log, from before the topic was recreated.
    """

    stored: int | None
    new: int
    bounds: Bounds
    replaced: bool = False
    remark: str = ""

    @property
    def again(self) -> int:
        """Offsets that are read a second time."""
        if self.stored is None or self.replaced:
            return 0
        return max(0, self.stored - max(self.new, self.bounds.beginning))

    @property
    def skipped(self) -> int:
        """Unread offsets that are skipped."""
        unread = self.bounds.beginning
        if self.stored is not None and not self.replaced:
            unread = max(unread, self.stored)
        return max(0, self.new - unread)

    @property
    def is_change(self) -> bool:
        """Whether the stored offset changes."""
        return self.replaced or self.new != self.stored


def carry_out(
    store: OffsetStore,
    moves: Mapping[Partition, Move],
    say: Say,
    *,
    effect: str,
    group: GroupState | None,
    ask: bool,
    yes: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Print the moves, ask if required, and store them.

    Args:
        store: the group's offsets.
        moves: by partition.
        say: prints a line.
        effect: what the moves do to the group's events, as sentences.
        group: who is in the group; None if Kafka does not say.
        ask: whether to ask for confirmation even if nobody is in the group.
        yes: whether `--yes` was given.
        force: whether to change offsets although workers are in the group.
        dry_run: whether to change nothing.

    Raises:
        click.ClickException: the answer was no, or workers are in the group.
        TransientError, FatalError: see ``pipeline.errors``; nothing was changed.
    """
    for partition, move in sorted(moves.items()):
        remark = f" ({move.remark})" if move.remark else ""
        stored = "none" if move.stored is None else move.stored
        say(f"{partition}: {stored} → {move.new}{remark}")
    changed = {partition: move for partition, move in moves.items() if move.is_change}
    if not changed:
        say("Nothing to change: these offsets are already stored.")
        return
    members = group.members if group else []
    if members:
        effect = f"{effect} {_named(members)}: they {_then(changed)}."
    stop = "Stop the workers (a killed one leaves after SESSION_TIMEOUT), or add --force."
    if members and not force and not dry_run:
        raise click.ClickException(f"{effect} Nothing was changed. {stop}")
    if dry_run:
        say(f"{effect} Nothing was changed (--dry-run).")
        if members and not force:
            say(f"Without --dry-run this is refused. {stop}")
        return
    if ask or members:
        confirm(effect, "Change the stored offsets?", yes)
    else:
        say(effect)
    store.set({partition: move.new for partition, move in changed.items()})
    say("Stored." if group and not members else "Stored. A running worker notices within 10 s.")


def _named(members: Sequence[Member]) -> str:
    what = "1 worker is" if len(members) == 1 else f"{len(members)} workers are"
    return f"{what} in the group ({', '.join(map(_reading, members))})"


def _reading(member: Member) -> str:
    numbers = ", ".join(map(str, member.partitions))
    return f"at {member.host} with partition {numbers or 'none'}"


def _then(moves: Mapping[Partition, Move]) -> str:
    """What running workers do after the moves."""
    if all(move.stored is not None and move.new >= move.stored for move in moves.values()):
        return "discard the skipped events as they read them; a restart skips them at once"
    return "exit with status 1 within 10 s; restarted, they read from the new offsets"


def describe(moves: Mapping[Partition, Move], deduplicate: bool) -> str:
    """What these moves do, as a sentence with numbers; counts offsets instead of events."""
    again = sum(move.again for move in moves.values())
    skipped = sum(move.skipped for move in moves.values())
    parts = []
    if again:
        rows = (
            "DEDUPLICATE skips those already stored"
            if deduplicate
            else "their rows are stored twice, as DEDUPLICATE is false"
        )
        parts.append(f"{_events(again)} read again ({rows})")
    if skipped:
        parts.append(f"{_events(skipped)} skipped, never read by this group")
    if not parts:
        return "No event is read again or skipped."
    return f"{' and '.join(parts)}; counted by offsets."


def _events(number: int) -> str:
    return "1 event is" if number == 1 else f"{number} events are"
