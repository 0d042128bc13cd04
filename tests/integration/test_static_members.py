"""Workers with names of their own in the group: a restart that the others do not notice."""

import re

import pytest

from benchmarks.measuring.stalls import Stalls
from tests.helpers.events import stored
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import wait_until

WORKERS = 4
#: Seconds: longer than a worker's restart takes on a busy machine.
SESSION = 30
REBALANCES = re.compile(r"^etl_rebalances_total (\S+)", re.MULTILINE)


@pytest.fixture
def member(apache, worker):
    """Starts a worker with a name of its own in the group."""

    def start(name, **settings):
        given = {"GROUP_INSTANCE_ID": name, "SESSION_TIMEOUT": SESSION, "FLUSH_INTERVAL": 0.3}
        return worker(**{**given, **settings})

    return start


def rebalances(running):
    """How often a worker was given partitions."""
    return [float(REBALANCES.findall(one.request("/metrics")[1])[0]) for one in running]


def assigned(running):
    """The partitions that each worker reads."""
    found = [one.get("/batches/")["partitions"] for one in running]
    return [{part["partition"] for part in partitions} for partitions in found]


def wait_shared(running):
    wait_until(lambda: len(set().union(*assigned(running))) == 4, 40, "all are read")
    wait_until(lambda: all(one.is_ready() for one in running), 40, "all are ready")


def wait_stored(url, more):
    """Wait until so many more events are stored."""
    count = stored(url) + more
    wait_until(lambda: stored(url) >= count, 20, "more are stored")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_restarts_in_turn_stall_no_other_worker(member, apache, topic, migrated_url):
    running = [member(f"w-{number}").wait_ready() for number in range(WORKERS)]
    wait_shared(running)
    theirs = assigned(running)
    flow = Traffic(apache, topic, rate=600)
    wait_stored(migrated_url, 500)
    with Stalls(migrated_url, topic) as usual:
        wait_stored(migrated_url, 4000)
    before = rebalances(running)
    for number in range(WORKERS):
        with Stalls(migrated_url, topic) as stalls:
            assert running[number].terminate() == 0
            running[number] = member(f"w-{number}").wait_ready()
            wait_stored(migrated_url, 600)
        before[number] = 1
        assert rebalances(running) == before
        assert assigned(running) == theirs
        others = [stalls.longest[other] for other in range(4) if other not in theirs[number]]
        assert max(others) < max(usual.longest.values()) + 2, stalls.longest
    flow.stop()
    audit(migrated_url, flow.sent)


@pytest.mark.slow
def test_of_two_workers_with_one_name_the_first_ends(member, apache, topic, migrated_url):
    first = member("w-0", SESSION_TIMEOUT=4).wait_ready()
    flow = Traffic(apache, topic, rate=600)
    wait_stored(migrated_url, 500)
    second = member("w-0", SESSION_TIMEOUT=4)
    assert first.wait(30) == 1
    sentence = (
        f"Another worker of the group group-{topic} has the GROUP_INSTANCE_ID w-0 too, and has "
        "joined since: give each worker a name of its own, or leave it empty."
    )
    assert f"[CRITICAL] {sentence}" in first.log_text()
    assert "Traceback" not in first.log_text()
    second.wait_ready()
    flow.stop()
    audit(migrated_url, flow.sent)
    assert second.exit_code is None


@pytest.mark.slow
def test_a_static_member_that_slept_rejoins(member, apache, topic, migrated_url):
    """Its id has expired, and nobody else has its name."""
    running = member("w-0", SESSION_TIMEOUT=2).wait_ready()
    flow = Traffic(apache, topic, rate=300)
    wait_stored(migrated_url, 100)
    running.pause()
    other = member("w-1", SESSION_TIMEOUT=2).wait_ready(60)
    wait_until(lambda: assigned([other]) == [{0, 1, 2, 3}], 40, "the other has all of it")
    running.resume()
    wait_until(lambda: len(assigned([running])[0]) == 2, 40, "it has its share again")
    flow.stop()
    audit(migrated_url, flow.sent)
    assert (running.exit_code, other.exit_code) == (None, None)


@pytest.mark.slow
def test_new_partitions_are_noticed_after_the_leader_returned(member, apache, topic, migrated_url):
    running = [member(f"w-{number}").wait_ready() for number in range(2)]
    for number in range(2):
        # Each in turn, so that the leader is among them.
        assert running[number].terminate() == 0
        running[number] = member(f"w-{number}").wait_ready()
    apache.add_partitions(topic, 6)
    wait_until(lambda: set().union(*assigned(running)) == {*range(6)}, 60, "all six are read")
