"""Apache Kafka 2.8, with ZooKeeper, and 3.9: a worker reads them as it does the newest."""

import os

import pytest

from dev.servers.apache_kafka import Kafka28, Kafka39
from dev.servers.chosen_broker import missing_for
from tests.chaos.transactions import TransactionalTraffic
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.transactions import abort
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=[Kafka28, Kafka39], ids=lambda kind: kind.kind)
def broker(request, folder):
    """In place of the session's broker."""
    kind = request.param
    if why := missing_for(kind):
        # `make test-all` fetches them; a build machine, which sets CI, has to.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{kind.kind}: {why}")
    with kind(folder / kind.kind) as running:
        yield running


def has(running, number):
    """Whether a worker has so many partitions."""
    return len(running.get("/batches/")["partitions"]) == number


def test_an_older_cluster_is_read_through_changes_of_the_group(
    worker, apache, topic, transactional, migrated_url, faust
):
    first = worker(FLUSH_INTERVAL=0.5).wait_ready()
    abort(transactional(), topic, range(50))
    flow = Traffic(apache, topic, rate=300)
    first.wait_stored(migrated_url, 500)
    second = worker(FLUSH_INTERVAL=0.5).wait_ready()
    wait_until(lambda: has(first, 2) and has(second, 2), 40, "they share the partitions")
    stored_again(migrated_url)
    second.kill()
    wait_until(lambda: has(first, 4), 40, "the first has all again")
    flow.stop()
    flow = TransactionalTraffic(apache, topic, rate=300, count=3000, sent=flow.sent)
    flow.finish()
    # The aborted events have names of their own, and would count as never sent.
    audit(migrated_url, flow.sent)
    wait_until(lambda: all(p["lag"] == 0 for p in first.get("/batches/")["partitions"]), 20)

    shown = faust("status")
    assert "running" in shown, shown
    checked = faust("check")
    assert topic in checked, checked
    assert "log ends" in faust("offsets", "show")
    said = faust("offsets", "reset", "--to", "beginning", "--dry-run")
    assert "1 worker is in the group (at 127.0.0.1 with partition 0" in said, said
    assert first.exit_code is None
    assert first.terminate() == 0
    assert "Traceback" not in first.log_text()


def test_an_older_broker_is_away_for_a_while(worker, apache, topic, migrated_url):
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    flow = Traffic(apache, topic, rate=300)
    running.wait_stored(migrated_url, 500)
    apache.kill()
    wait_until(lambda: not running.is_ready(), 30, "not ready")
    assert "Kafka has not answered" in running.get("/ready/")["reason"]
    apache.start()
    stored_again(migrated_url)
    wait_until(running.is_ready, 30, "ready again")
    flow.stop()
    audit(migrated_url, flow.sent)
    assert running.exit_code is None
