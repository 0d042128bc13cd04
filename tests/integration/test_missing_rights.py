"""A revoked grant is named by table and right, in the words of both servers."""

import re
from datetime import datetime

import pytest
from sqlalchemy import make_url

from agents.flash_sales import FLASH_SALES
from checks.database import rehearse
from db import schema
from db.breakers import BreakerStore
from db.dead_letters import DeadLetters, Filter
from db.engine import connect
from db.ledger import newest_batches
from db.offsets import OffsetStore
from db.replay import Replayer
from db.rollup import Rollup
from db.writer import Writer
from pipeline.errors import FatalError
from tests.helpers.databases import also_mysql
from tests.helpers.sink import NOW, chunk, record
from pipeline.chunk import Chunk
from tests.helpers.sums import settle
from tests.integration.test_database_security import grants

PASSWORD = "right-s3cret-of-the-tests"
GRANT = re.compile(r"GRANT (.+) ON shop\.(\w+) TO")


@pytest.fixture
def account(server, migrated_url):
    """An engine of the documented account of workers."""
    name = migrated_url.rpartition("/")[2]
    for statement in (*grants("After"), "GRANT LOCK TABLES ON shop.* TO 'shop_worker'@'%'"):
        here = statement.replace("shop.", f"`{name}`.")
        server.execute(re.sub("'[a-z ]*password'", f"'{PASSWORD}'", here))
    url = make_url(migrated_url).set(
        drivername="mysql+pymysql", username="shop_worker", password=PASSWORD
    )
    engine = connect(url)
    yield engine
    engine.dispose()
    server.execute("DROP USER 'shop_worker'@'%'")


def use(engine, number):
    """Everything that workers and commands do with the tables."""
    group = f"g{number}"
    schema.check(engine)
    rehearse(engine)
    OffsetStore(engine, group).begin("t", {0: 0})
    letter = Chunk.transform(FLASH_SALES, "t", 0, 1, 2, [record(1, b"no json")])
    Writer(engine, group, group).write(1, NOW, [chunk(0, 1), letter])
    newest_batches(engine, group, 1)
    Replayer(engine, group, FLASH_SALES).replay(Filter())
    DeadLetters(engine, group).purge(Filter())
    breakers = BreakerStore(engine, group, "t")
    breakers.find()
    sums = Rollup(engine, 0)
    sums.rebuild()
    settle(engine)
    sums.purge(datetime(2038, 1, 1))


@also_mysql
def test_each_revoked_right_is_named(server, account, migrated_url):
    name = migrated_url.rpartition("/")[2]
    use(account, 0)
    found = [GRANT.match(statement) for statement in grants("After")]
    rights = [
        (right, one[2]) for one in found if one for right in one[1].split(", ")
    ]
    assert len(rights) == 26
    for number, (right, table) in enumerate(rights, 1):
        server.execute(f"REVOKE {right} ON `{name}`.{table} FROM 'shop_worker'@'%'")
        try:
            use(account, number); print("NOTHING", right, table); continue
        except Exception as e: print(right, table, '->', type(e).__name__, e); continue
        finally:
            server.execute(f"GRANT {right} ON `{name}`.{table} TO 'shop_worker'@'%'")
