"""A Galera cluster of two nodes that both take writes: locks of one are not seen on the other."""

import asyncio
from contextlib import suppress
from itertools import count
from time import monotonic

import pytest
from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from checks.database import check_database
from checks.result import CheckResults
from db.connection.engine import connect
from db.connection.errors import classified
from db.rollup import cluster
from db.rollup.rounds import Rollup
from db.schema.upgrade import migrate
from db.write.offsets import OffsetStore
from pipeline.background.rollup_service import RollupService
from pipeline.errors import TransientError
from pipeline.partition import Partition
from tests.helpers.galera import two_nodes
from tests.helpers.sales import write
from tests.helpers.worker import until, wait_until

pytestmark = pytest.mark.slow

INTERVAL = 0.1
_SALE = text(
    "INSERT INTO flash_sale_events (event_id, product_id, category, event_type, quantity, revenue,"
    " ts) VALUES ('late', 'P1', 'c1', 'purchase', 2, 3.5, '2026-11-27 10:00:30')"
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with two_nodes(tmp_path_factory.mktemp("galera")) as both:
        yield both


_NUMBERS = count()


@pytest.fixture
def engines(nodes):
    """The app's engines on both nodes, on a migrated database in which group ``g`` has begun."""
    name = f"galera_{next(_NUMBERS)}"
    nodes[0].create_database(name)
    both = [connect(make_url(n.url(name)).set(drivername="mysql+pymysql")) for n in nodes]
    migrate(both[0])
    OffsetStore(both[0], "g").begin({Partition("t", 0): 0, Partition("t", 1): 0})
    # A node applies what another one commits a moment later.
    wait_until(lambda: len(OffsetStore(both[1], "g").read("t")) == 2, 10)
    yield both
    for engine in both:
        engine.dispose()


def counted(engine):
    """Events in the rows and in the sums."""
    with engine.connect() as connection:
        return connection.execute(
            text(
                "SELECT (SELECT COUNT(*) FROM flash_sale_events), (SELECT"
                " SUM(views + carts + purchases + others) FROM funnel_per_minute)"
            )
        ).one()


def test_a_write_under_way_on_another_node_is_summed(engines, monkeypatch):
    here, there = engines
    monkeypatch.setattr(cluster, "WAIT", 2.0)
    rollup = Rollup(here, INTERVAL)
    with there.connect() as other:
        OffsetStore(there, "g").lock(other, [Partition("t", 1)])
        other.execute(_SALE)
        late = other.scalar(text("SELECT LAST_INSERT_ID()"))
        for number in range(3):
            write(here, number)
        marked = rollup.step()
        assert marked.newest > late
        begun = monotonic()
        wait_until(lambda: rollup.step() and monotonic() - begun > 1, 5, "many rounds have passed")
        other.commit()
    wait_until(lambda: not rollup.step().behind, 10, "all rows are summed")
    rows, summed = counted(here)
    assert summed == rows


async def test_workers_on_both_nodes_do_not_stall_each_other(engines, monkeypatch, caplog):
    monkeypatch.setattr(cluster, "WAIT", 0.2)
    services = [RollupService(Rollup(engine, INTERVAL).step, INTERVAL) for engine in engines]

    def store(partition):
        for number in range(25):
            while True:
                # A write that loses the certification is retried, as the flusher does.
                with suppress(TransientError), classified():
                    write(engines[partition], number, partition=partition)
                    break

    async with services[0], services[1]:
        await asyncio.gather(*(asyncio.to_thread(store, partition) for partition in (0, 1)))
        await until(lambda: counted(engines[0]) == (500, 500), 30)
    assert "stalled" not in caplog.text


def test_what_the_sums_rest_on_is_said(engines):
    here, _ = engines
    write(here, 0)
    warning = Rollup(here, INTERVAL).step().warning
    assert warning
    assert warning.startswith("2 Galera nodes: ")
    results = CheckResults()
    check_database(here, FLASH_SALES, results)
    [line] = [one for one in results.all if one.subject == "Sales sums"]
    assert warning.startswith(line.found)


def test_a_write_that_took_longer_than_the_wait_is_said(engines):
    here, _ = engines
    write(here, 0)
    with here.begin() as connection:
        connection.execute(text("UPDATE batches SET seconds = 61.5"))
    assert "a write took 61.5 s" in (Rollup(here, INTERVAL).step().warning or "")
