"""What needs attention in a group's status."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.flash_sales import QUALITY
from checks.attention import Level, Limits, level, needs
from checks.group_status import GroupStatus, PartitionStatus
from checks.worker_status import WorkerStatus
from commands.probe import probe_line
from commands.status_lines import as_json, as_text
from db.breakers import OpenBreaker
from db.dead_letters.summary import Total
from db.schema.version import VERSION
from pipeline.background.rollup_service import Progress
from pipeline.background.storage import Storage, TableSize
from pipeline.partition import Partition
from source.cluster.group import GroupState, Member
from source.log_reader import Bounds
from tests.helpers.partitions import of_topic

NOW = datetime(2026, 11, 27, 8, 41, tzinfo=UTC)
T1 = Partition("t", 1)


def status(**found):
    """A group of which all is well, but for what is given."""
    well = {
        "kafka": GroupState("Stable", [Member("m", "c", "h", [0, 1])]),
        "bounds": of_topic("t", {0: Bounds(0, 10), 1: Bounds(0, 10)}),
        "partitions": [partition(0), partition(1)],
        "workers": [worker()],
        "rollup": Progress(20, 20, 0.0),
        "schema_version": VERSION,
    }
    return GroupStatus("g", "t", NOW, **{**well, **found})


def worker(**known):
    usual = WorkerStatus("w", "1.2", "running", [0, 1], 0, 0.3, NOW, 5.0, None)
    return usual._replace(**known)


def partition(number, stored=10, beginning=0, end=10, behind=None):
    lag = max(0, end - stored)
    return PartitionStatus(Partition("t", number), stored, beginning, end, lag, 0.0, None, behind)


def test_healthy_group_needs_no_attention():
    assert needs(status()) == []


@pytest.mark.parametrize(
    ("found", "what", "hint"),
    [
        ({"kafka": GroupState("Empty", [])}, "No worker is in the group, and 0 events", "worker"),
        ({"kafka": GroupState("Stable", [Member("m", "c", "h", [0])])}, "partition 1 of t", "CONS"),
        (
            {"workers": [], "partitions": [partition(0, end=15)]},
            "5 events are waiting, and no batch",
            "log",
        ),
        (
            {"kafka": None, "workers": [], "partitions": [partition(0, end=15)]},
            "5 events are waiting, and no batch",
            "log",
        ),
        ({"workers": [worker(), worker(state="silent", age=26.4)]}, "no heartbeat for 26 s", "log"),
        (
            {"workers": [worker(unready="the database cannot be used: the disk is full")]},
            "The worker w is not ready: the database cannot be used: the disk is full",
            "NotReady in docs/runbook.md",
        ),
        (
            {"workers": [], "unknown": {"workers"}, "unseen": "SELECT is missing."},
            "heartbeats cannot be read: SELECT is missing.",
            "docs/database.md#accounts",
        ),
        ({"partitions": [partition(0, stored=12)]}, "t/0 is stored up to 12, but its log", "show"),
        ({"partitions": [partition(0, 3, 5)]}, "removed 2 events of t/0 before", "retention"),
        ({"partitions": [partition(0, 5, behind=61)]}, "t/0 by 61 s (5 events)", "add workers"),
        (
            {"breakers": [OpenBreaker(Partition("t", 1), NOW, "garbage", None)]},
            "pauses t/1: garbage",
            "close --partition 1",
        ),
        (
            {"breakers": [OpenBreaker(Partition("t", 1), NOW, "garbage", None, NOW)]},
            "pauses t/1: garbage",
            "the next attempt is due at 08:41:00 UTC",
        ),
        (
            {"quality": QUALITY.shares(50, {}, {"price.mistyped": 3})},
            "price was repaired in 3",
            "producer",
        ),
        ({"dead_letters": [Total("invalid", 9, 4, NOW)]}, "4 dead letters are not", "--pending"),
        (
            {"storage": Storage([TableSize("t", 1, 90, 1.0)], 100)},
            "full in 10 days (DATABASE_MAX_BYTES)",
            "set RETENTION",
        ),
        ({"rollup": Progress(9, 20, 700.0)}, "12 minutes old, 11 rows behind", "rollup show"),
        (
            {"rollup": Progress(9, 5, 0.0, error="ids began again")},
            "ids began again",
            "rollup show",
        ),
        ({"rollup": Progress(9, 9, 0.0, warning="2 Galera nodes")}, "2 Galera nodes", "analytics"),
        ({"schema_version": "9999"}, "9999 is newer than this app's", "newer app"),
        ({"errors": ["Kafka does not answer."]}, "Kafka does not answer.", "check"),
    ],
)
def test_each_need_comes_with_a_fix(found, what, hint):
    [need] = needs(status(**found))
    assert what in need.what
    assert hint in need.hint


def test_replayed_dead_letters_need_no_attention():
    assert needs(status(dead_letters=[Total("invalid", 9, 0, NOW)])) == []


def test_repeated_error_is_listed_once():
    assert len(needs(status(errors=["away", "away"]))) == 1


LONG_AGO = NOW - timedelta(seconds=61)
OPEN = OpenBreaker(T1, NOW, "garbage", None)
MANY = {"partitions": [partition(0, end=15)]}
NOBODY = {"kafka": GroupState("Empty", [])}


@pytest.mark.parametrize(
    ("found", "limits", "worst"),
    [
        ({}, {}, Level.FINE),
        (NOBODY, {}, Level.ATTENTION),
        (NOBODY | MANY, {}, Level.BROKEN),
        (NOBODY | {"partitions": []}, {}, Level.BROKEN),
        ({"errors": ["The database is away."]}, {}, Level.BROKEN),
        ({"workers": []} | MANY, {}, Level.BROKEN),
        (MANY, {}, Level.FINE),
        (MANY, {"waiting": 4}, Level.ATTENTION),
        (MANY, {"waiting": 1, "broken_waiting": 4}, Level.BROKEN),
        ({"partitions": [partition(0, 5, behind=61)]}, {}, Level.ATTENTION),
        ({"partitions": [partition(0, 5, behind=61)]}, {"late": 90}, Level.FINE),
        ({"partitions": [partition(0, 5, behind=61)]}, {"broken_late": 60}, Level.BROKEN),
        ({"partitions": [partition(0, 5, behind=601)]}, {}, Level.BROKEN),
        ({"workers": [worker(state="silent")]}, {}, Level.ATTENTION),
        ({"workers": [worker(state="stopped")]}, {}, Level.FINE),
        ({"workers": [worker(unready="away", lag=5)]}, {}, Level.ATTENTION),
        ({"workers": [worker(unready="away", last_batch=None)]}, {}, Level.ATTENTION),
        ({"workers": [worker(unready="away", lag=5, last_batch=None)]}, {}, Level.BROKEN),
        ({"workers": [worker(unready="away", lag=5, last_batch=LONG_AGO)]}, {}, Level.BROKEN),
        (
            {"workers": [worker(unready="away", lag=5, last_batch=None)], "breakers": [OPEN]},
            {},
            Level.ATTENTION,
        ),
        ({"partitions": [partition(0, stored=12)]}, {}, Level.BROKEN),
        ({"dead_letters": [Total("invalid", 9, 4, NOW)]}, {}, Level.ATTENTION),
        ({"dead_letters": [Total("invalid", 9, 4, NOW)]}, {"dead_letters": 4}, Level.FINE),
    ],
)
def test_how_bad_it_is(found, limits, worst):
    assert level(needs(status(**found), Limits(**limits))) == worst


def test_a_probe_is_one_line_with_the_worst_and_the_numbers():
    def line(limits=None, **found):
        one, limits = status(**found), limits or Limits()
        return probe_line(one, needs(one, limits), limits)

    assert line() == (
        "OK: g reads t with 1 workers. | waiting=0;; late=0s;60;600 workers=1;; dead_letters=0;0;"
    )
    worst = line(
        **NOBODY, **MANY, dead_letters=[Total("invalid", 9, 4, NOW)], limits=Limits(waiting=100)
    )
    assert worst == (
        "CRITICAL: No worker is in the group, and 5 events are waiting. To fix it, start "
        "`faust -A app worker`. (1 more: `faust -A app status`) | "
        "waiting=5;100; late=0s;60;600 workers=0;; dead_letters=4;0;"
    )
    away = {"stored", "workers", "batches", "dead_letters", "breakers", "rollup"}
    unread = partition(0)._replace(stored=None, lag=None)
    assert line(errors=["a|b\nc"], unknown=away, partitions=[unread]) == (
        "CRITICAL: a/b c. To fix it, run `faust -A app check`, which tests each step. | "
        "waiting=U;; late=U;60;600 workers=1;; dead_letters=U;0;"
    )


def test_nothing_unread_is_shown_as_zero():
    away = {"stored", "workers", "batches", "dead_letters", "breakers", "rollup"}
    unread = partition(0)._replace(stored=None, lag=None, incoming=None)
    found = status(
        unknown=away,
        errors=["away"],
        partitions=[unread],
        workers=[],
        schema_version=None,
        rollup=None,
        **NOBODY,
    )
    shown = as_text(found, Limits(), None)
    for said in (
        "No worker is in the group, and an unknown number of events are waiting.",
        "Workers: 0 in Kafka's group (Empty); unknown stored events in the last 10 min",
        "an unknown number of events waiting; in the last 60 s unknown events/s arrived and unkno",
        *("Last batches: unknown", "Dead letters: unknown", "Circuit breaker: unknown"),
        *("Sales sums: unknown", "Schema: version unknown"),
    ):
        assert said in shown
    for name in ("workers", "batches", "dead_letters", "breakers", "rollup"):
        assert as_json(found, Limits())[name] is None
    assert "Partitions: unknown" in as_text(status(partitions=[]), Limits(), None)
