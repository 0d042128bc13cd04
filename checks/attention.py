"""Lists what needs attention in a group's status, and what to do about it. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from enum import IntEnum
from typing import NamedTuple

from checks.group_status import RATE_SECONDS, WINDOW, GroupStatus, PartitionStatus
from db.breakers import OpenBreaker
from db.schema.version import VERSION

#: Seconds by which sums may be late before they are listed.
SUMS_LATE = 600.0
#: Days before the database is full.
FULL_SOON = 14.0


class Level(IntEnum):
    """How bad it is; the value is the exit status of `status --check`."""

    FINE = 0
    ATTENTION = 1
    BROKEN = 2


class Need(NamedTuple):
    """What is wrong, what to do, and whether events are not stored or it is not known."""

    what: str
    hint: str
    level: Level = Level.ATTENTION


class Limits(NamedTuple):
    """From when on something is listed, and when it counts as broken; None for never.

    ``late`` is in seconds, ``waiting`` in events, ``dead_letters`` in those not replayed.
    """

    late: float = 60.0
    broken_late: float = 600.0
    waiting: int | None = None
    broken_waiting: int | None = None
    dead_letters: int = 0


def level(found: list[Need]) -> Level:
    """The worst of them."""
    return max((need.level for need in found), default=Level.FINE)


def needs(status: GroupStatus, limits: Limits = Limits()) -> list[Need]:  # noqa: B008 - immutable
    """Everything that needs attention, the most severe first."""
    return [*_errors(status), *_schema(status), *_workers(status), *_ailing(status),
            *_waiting(status, limits), *_partitions(status, limits), *_dropped(status, limits),
            *_quality(status), *_sums(status), *_space(status)]  # fmt: skip


def _errors(status: GroupStatus) -> Iterator[Need]:
    for error in dict.fromkeys(status.errors):
        said = f"{error.rstrip('.')}."
        yield Need(said, "run `faust -A app check`, which tests each step", Level.BROKEN)


def _schema(status: GroupStatus) -> Iterator[Need]:
    if status.schema_version and status.schema_version > VERSION:
        yield Need(
            f"The schema's version {status.schema_version} is newer than this app's {VERSION}.",
            "run the newer app, unless a release is being rolled out or back",
        )
    for problem in status.problems:
        yield Need(
            f"{problem.found}.", problem.hint, Level.BROKEN if problem.refused else Level.ATTENTION
        )


def _workers(status: GroupStatus) -> Iterator[Need]:
    kafka, waiting = status.kafka, status.waiting
    if kafka and not kafka.members:
        many = "an unknown number of" if waiting is None else waiting
        yield Need(
            f"No worker is in the group, and {many} events are waiting.",
            "start `faust -A app worker`",
            Level.ATTENTION if waiting == 0 else Level.BROKEN,
        )
        return
    if kafka and kafka.state == "Stable":
        given = {number for member in kafka.members for number in member.partitions}
        if left := sorted({one.number for one in status.bounds} - given):
            yield Need(
                f"No worker reads partition {', '.join(map(str, left))} of {status.topic}.",
                "check whether another program uses the same CONSUMER_GROUP",
            )
    stored = any(one.last_batch for one in status.workers)
    if waiting and not status.errors and not stored and "workers" not in status.unknown:
        yield Need(
            f"{waiting} events are waiting, and no batch was stored for {WINDOW.seconds // 60} "
            "minutes.",
            "check the workers' logs and /ready/",
            Level.BROKEN,
        )


def _ailing(status: GroupStatus) -> Iterator[Need]:
    """Workers that say why they are not ready, or say nothing any more."""
    if status.unseen:
        yield Need(
            f"Workers' heartbeats cannot be read: {status.unseen}",
            "grant the rights of docs/database.md#accounts",
        )
    for one in status.workers:
        if one.state == "silent":
            yield Need(
                f"The worker {one.worker} has sent no heartbeat for {one.age:.0f} s.",
                "see whether it runs, and its log; one that was killed is listed for an hour",
            )
        # An open breaker has its own line.
        elif one.state == "running" and one.unready and not status.breakers:
            lately = one.last_batch and status.at - one.last_batch < timedelta(seconds=RATE_SECONDS)
            yield Need(
                f"The worker {one.worker} is not ready: {one.unready.rstrip('.')}.",
                "see NotReady in docs/runbook.md",
                Level.BROKEN if one.lag and not lately else Level.ATTENTION,
            )


def _waiting(status: GroupStatus, limits: Limits) -> Iterator[Need]:
    waiting = status.waiting or 0
    for limit, level in ((limits.broken_waiting, Level.BROKEN), (limits.waiting, Level.ATTENTION)):
        if limit is not None and waiting > limit:
            yield Need(
                f"{waiting} events are waiting, more than {limit}.",
                "if it grows, add workers: docs/scaling.md",
                level,
            )
            return


def _partitions(status: GroupStatus, limits: Limits) -> Iterator[Need]:
    for one in status.partitions:
        place = one.partition
        if one.stored is not None and one.stored > one.end:
            yield Need(
                f"{place} is stored up to {one.stored}, but its log ends at {one.end}: the topic "
                f"was recreated or truncated.",
                "run `faust -A app offsets show`",
                Level.BROKEN,
            )
        elif one.stored is not None and one.stored < one.beginning:
            gone = one.beginning - one.stored
            yield Need(
                f"Kafka's retention removed {gone} events of {place} before they were read.",
                "raise the topic's retention.ms",
            )
    late = [one for one in status.partitions if (one.behind or 0) > limits.late]
    if late:
        worst = max(late, key=_behind)
        yield Need(
            f"{len(late)} partitions are late, {worst.partition} by "
            f"{worst.behind:.0f} s ({worst.lag} events).",
            "if the lag grows, add workers: docs/scaling.md",
            Level.BROKEN if _behind(worst) > limits.broken_late else Level.ATTENTION,
        )


def _behind(one: PartitionStatus) -> float:
    return one.behind or 0.0


def _dropped(status: GroupStatus, limits: Limits) -> Iterator[Need]:
    for breaker in status.breakers:
        yield Need(
            f"The circuit breaker pauses {breaker.partition}: {breaker.reason}",
            f"{_next_attempt(breaker)}. When the cause is gone, `faust -A app breaker close "
            f"--partition {breaker.partition.number}` makes one at once",
        )
    if (pending := sum(one.pending for one in status.dead_letters)) > limits.dead_letters:
        yield Need(
            f"{pending} dead letters are not replayed.",
            "run `faust -A app dead-letters summary --pending`, then replay or purge them",
        )


def _next_attempt(breaker: OpenBreaker) -> str:
    if breaker.next_attempt is None:
        return "it waits for a person"
    return f"the next attempt is due at {breaker.next_attempt:%H:%M:%S} UTC"


def _quality(status: GroupStatus) -> Iterator[Need]:
    for one in status.quality:
        if one.is_high:
            yield Need(
                f"In the last {WINDOW.seconds // 60} minutes, {one.sentence()}.",
                "tell the owner of the producer; see ManyRepaired and ManyFilled in "
                "docs/runbook.md",
            )


def _sums(status: GroupStatus) -> Iterator[Need]:
    sums = status.rollup
    if sums is None:
        return
    if sums.error:
        yield Need(f"The sales sums are stalled: {sums.error}", "run `faust -A app rollup show`")
    elif sums.seconds > SUMS_LATE:
        yield Need(
            f"The sales sums are {sums.seconds / 60:.0f} minutes old, {sums.behind} rows behind.",
            "run `faust -A app rollup show`, and see docs/runbook.md",
        )
    if sums.warning:
        yield Need(f"The sales sums: {sums.warning}", "see docs/analytics.md")


def _space(status: GroupStatus) -> Iterator[Need]:
    days = status.storage and status.storage.full_in
    if days is not None and days < FULL_SOON:
        yield Need(
            f"At this rate the database will be full in {days:.0f} days (DATABASE_MAX_BYTES).",
            "add space, or set RETENTION: docs/database.md#old-rows-and-space",
        )
