"""What needs attention in a group's status."""

from datetime import UTC, datetime

import pytest

from agents.flash_sales import QUALITY
from checks.attention import needs
from checks.group_status import GroupStatus, PartitionStatus, WorkerStatus
from db.breakers import OpenBreaker
from db.dead_letters.summary import Total
from db.schema.version import VERSION
from pipeline.partition import Partition
from pipeline.rollup_service import Progress
from pipeline.storage import Storage, TableSize
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
        "workers": [WorkerStatus("w", NOW, 1, 20, 0.3)],
        "rollup": Progress(20, 20, 0.0),
        "schema_version": VERSION,
    }
    return GroupStatus("g", "t", NOW, **{**well, **found})


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
