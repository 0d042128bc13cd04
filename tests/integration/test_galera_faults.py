"""A Galera cluster of three nodes whose members come and go under a worker that writes."""

import re
from contextlib import suppress

import pymysql
import pytest

from tests.helpers.accounts import OWNER, WORKER, grant, make_accounts
from tests.helpers.galera import cluster, is_ready, join
from tests.helpers.switch import Switch
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def nodes(tmp_path_factory):
    """Two nodes that run, and one that does not yet."""
    with cluster(tmp_path_factory.mktemp("galera"), 3) as found:
        yield found


@pytest.fixture
def migrated_url(nodes, migrate_cli):
    """In place of the session's server: the database, by way of the first node."""
    first, *_ = nodes
    first.create_database("shop")
    make_accounts(first)
    assert migrate_cli(grant(first, OWNER, "shop")).returncode == 0
    return grant(first, WORKER, "shop")


def of(node):
    """The worker's URL on a node; all nodes have the same accounts."""
    return node.url("shop", WORKER)


def assert_same(nodes, sent):
    """Each node has every event once."""
    for node in nodes:
        audit(of(node), sent)


def test_a_node_joins_while_a_worker_writes_to_another(nodes, worker, broker, topic):
    _, second, third = nodes
    running = worker(DATABASE_URL=of(second), FLUSH_INTERVAL=0.5).wait_ready()
    flow = Traffic(broker, topic, rate=300)
    running.wait_stored(of(second), 1000)
    join(third)
    stored_again(of(third))
    # The one that came last takes the writes of another worker at once.
    other = worker(DATABASE_URL=of(third), FLUSH_INTERVAL=0.5).wait_ready()
    wait_until(lambda: other.get("/batches/")["batches"] > 2, 30, "it writes")
    flow.stop()
    assert_same(nodes, flow.sent)
    assert [one.terminate() for one in (running, other)] == [0, 0]
    assert "Traceback" not in running.log_text() + other.log_text()


def test_a_node_is_killed_under_its_worker(nodes, worker, broker, topic):
    first, second, third = nodes
    join(third)
    flow = Traffic(broker, topic, rate=300)
    with Switch(second.port) as proxy:
        running = worker(DATABASE_URL=proxy.url(of(second)), FLUSH_INTERVAL=0.2).wait_ready()
        running.wait_stored(of(second), 1000)
        second.kill()
        wait_until(lambda: not running.is_ready(), 15, "not ready")
        assert "the database is away" in running.get("/ready/")["reason"]
        proxy.lead_to(third.port)
        wait_until(running.is_ready, 30, "ready again")
        stored_again(of(third))
        flow.stop()
        assert_same([first, third], flow.sent)
        assert running.exit_code is None
        assert running.terminate() == 0


def test_a_node_without_a_quorum_stores_nothing_until_it_has_one(nodes, worker, broker, topic):
    first, second, third = nodes
    join(third)
    flow = Traffic(broker, topic, rate=300)
    running = worker(DATABASE_URL=of(first), FLUSH_INTERVAL=0.2).wait_ready()
    running.wait_stored(of(first), 1000)
    second.kill()
    third.kill()
    # A COMMIT that found it out, or "not ready"; before, no answer at all.
    refused = re.compile("the database cannot be used: MySQL error (1047|1180)")
    wait_until(lambda: refused.search(running.request("/ready/")[1]), 40, "it is refused")
    assert not running.is_ready()
    assert running.request("/health/")[0] == 200
    # As an operator does who knows that the others are gone for good. The COMMIT behind it may come
    # too early.
    with suppress(pymysql.OperationalError):
        first.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
    wait_until(lambda: is_ready(first), 30, "the node takes statements")
    wait_until(running.is_ready, 30, "ready again")
    stored_again(of(first))
    flow.stop()
    assert_same([first], flow.sent)
    assert running.exit_code is None
    assert running.terminate() == 0
    assert "Traceback" not in running.log_text()
