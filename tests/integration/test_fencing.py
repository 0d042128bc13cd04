"""A proxy that splits a transaction, or forgets the session, ends a write with a clear error."""

from time import monotonic

import pytest
from sqlalchemy import func, make_url, select

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Replayer
from db.rollup.watermark import join
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import batches, dead_letters
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import FatalError
from pipeline.partition import Partition
from tests.chaos.mysql_proxy import MySQLProxy
from tests.helpers.partitions import of_topic
from tests.helpers.sink import NOW, chunk, event, record, stored_offsets


@pytest.fixture
def proxy(migrated_url):
    with MySQLProxy(migrated_url) as running:
        yield running


@pytest.fixture
def through(migrated_url, migrated_engine, proxy):
    """An engine whose connections go through the proxy; two partitions begin at 0."""
    OffsetStore(migrated_engine, "g").begin({Partition("t", 0): 0, Partition("t", 1): 0})
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql", port=proxy.port))
    yield engine
    engine.dispose()


def stored(engine):
    """How many rows each table has, and the offsets."""
    with engine.connect() as connection:
        counts = [
            connection.scalar(select(func.count()).select_from(table))
            for table in (flash_sale_events, dead_letters, batches)
        ]
    return counts, stored_offsets(engine)


def both() -> Chunk:
    """Rows and a dead letter."""
    records = [record(0, event(0, event_type="purchase", price=2)), record(1, b"no json")]
    return Chunk.transform(FLASH_SALES, Partition("t", 0), 0, 2, records)


def test_a_proxy_that_does_nothing_is_not_noticed(through, proxy, migrated_engine):
    writer = Writer(through, "g", FLASH_SALES, "w")
    writer.write(1, NOW, [both(), chunk(0, 3, partition=1)])
    writer.write(2, NOW, [chunk(2, 4)])
    assert stored(migrated_engine) == ([6, 1, 2], {0: 4, 1: 3})
    assert proxy.seen == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT",
        "INSERT INTO dead_letters",
        "INSERT INTO batches",
        "INSERT INTO stream_offsets",
    ],
)
def test_a_statement_sent_elsewhere_stores_nothing(through, proxy, migrated_engine, statement):
    assert_nothing_is_stored(through, proxy, migrated_engine, statement)


def test_lines_sent_elsewhere_are_inserted_here(through, proxy, migrated_engine):
    """There the load is refused, and another way is taken in the session of the lock."""
    proxy.elsewhere = ("LOAD DATA",)
    Writer(through, "g", FLASH_SALES, "w").write(1, NOW, [both()])
    assert proxy.seen
    assert stored(migrated_engine) == ([1, 1, 1], {0: 2, 1: 0})


def test_rows_sent_elsewhere_are_not_stored(through, proxy, migrated_engine, inserts_only):
    assert_nothing_is_stored(through, proxy, migrated_engine, "INSERT INTO flash_sale_events")


def assert_nothing_is_stored(through, proxy, migrated_engine, statement):
    proxy.elsewhere = (statement,) if isinstance(statement, str) else statement
    begun = monotonic()
    with pytest.raises(FatalError, match=r"another session\..* DATABASE_URL"):
        Writer(through, "g", FLASH_SALES, "w").write(1, NOW, [both()])
    assert monotonic() - begun < 5, "without waiting for a lock"
    assert proxy.seen
    assert stored(migrated_engine) == ([0, 0, 0], {0: 0, 1: 0})
    proxy.elsewhere = ()
    Writer(through, "g", FLASH_SALES, "w").write(1, NOW, [both()])
    assert stored(migrated_engine) == ([1, 1, 1], {0: 2, 1: 0})


@pytest.mark.parametrize("statement", ["SET SESSION time_zone", "SET AUTOCOMMIT"])
def test_a_session_that_was_not_set_up_stores_nothing(through, proxy, migrated_engine, statement):
    proxy.swallowed = (statement,)
    with pytest.raises(FatalError, match=r"session is not what .* DATABASE_URL"):
        Writer(through, "g", FLASH_SALES, "w").write(1, NOW, [both()])
    assert proxy.seen
    assert stored(migrated_engine) == ([0, 0, 0], {0: 0, 1: 0})


def test_a_replay_split_by_a_proxy_stores_nothing(through, proxy, migrated_engine):
    assert_no_replay(through, proxy, migrated_engine, "UPDATE dead_letters")


def assert_no_replay(through, proxy, migrated_engine, statement):
    with migrated_engine.begin() as connection:
        Writer(migrated_engine, "g", FLASH_SALES, "w").write(1, NOW, [both()])
        connection.execute(dead_letters.update().values(value=event(1), value_bytes=None))
    proxy.elsewhere = (statement,)
    with pytest.raises(FatalError, match="another session"):
        Replayer(through, "g", FLASH_SALES, announce=join).replay(Filter())
    assert stored(migrated_engine)[0] == [1, 1, 1]
    letters = DeadLetters(migrated_engine, "g")
    assert letters.count(Filter()) == letters.count(Filter(pending=True)) > 0


def test_an_offset_that_is_not_the_one_locked_does_not_move(through, migrated_engine):
    store = OffsetStore(migrated_engine, "g")
    with migrated_engine.connect() as connection:
        locked = store.lock(connection, [Partition("t", 0), Partition("t", 1)])
        assert locked.offsets == of_topic("t", {0: 0, 1: 0})
        moves = of_topic("t", {0: (3, 5), 1: (0, 5)})
        with pytest.raises(FatalError, match=r"offsets could not be moved.*t/0 from 3 to 5"):
            store.advance(connection, moves, {}, locked.session)
    assert stored_offsets(migrated_engine) == {0: 0, 1: 0}
