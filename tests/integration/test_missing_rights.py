"""A revoked grant is named by table and right, in the words of each server."""

import re
from datetime import UTC, datetime

import pytest

from agents.flash_sales import FLASH_SALES
from checks.database import rehearse
from db import workers
from db.breakers import BreakerStore
from db.connection.errors import classified
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Replayer
from db.retention.purge import PURGED, Purge
from db.retention.sizes import Sizes
from db.rollup.rounds import Rollup
from db.rollup.watermark import join
from db.schema import version
from db.write.ledger import newest_batches
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.chunk import Chunk
from pipeline.errors import FatalError
from pipeline.partition import Partition
from tests.helpers.accounts import WORKER, grants
from tests.helpers.sink import NOW, chunk, record
from tests.helpers.sums import settle

#: Rights and tables of the documented account of workers.
RIGHTS = [
    (right, found[2])
    for statement in grants(WORKER)
    if (found := re.match(r"GRANT (.+) ON shop\.(\w+) TO", statement))
    for right in found[1].split(", ")
]


def use(engine, group):
    """What workers and commands do with every table."""
    version.check(engine)
    rehearse(engine, FLASH_SALES)
    partition = Partition("t", 0)
    OffsetStore(engine, group).begin({partition: 0})
    letter = Chunk.transform(FLASH_SALES, partition, 1, 2, [record(1, b"no json")])
    Writer(engine, group, FLASH_SALES, group).write(1, NOW, [chunk(0, 1), letter])
    list(newest_batches(engine, group, 1))
    Replayer(engine, group, FLASH_SALES, announce=join).replay(Filter())
    DeadLetters(engine, group).purge(Filter())
    breakers = BreakerStore(engine, group)
    breakers.open(partition, "a reason")
    breakers.request_close([partition])
    breakers.clear([partition])
    breakers.find()
    sums = Rollup(engine, 0)
    sums.rebuild()
    settle(engine)
    sums.purge(datetime(2038, 1, 1))
    with classified(), engine.connect() as connection:
        workers.rehearse(connection)
        connection.rollback()
    Sizes(engine).note()
    rehearse(engine, FLASH_SALES, PURGED)
    list(
        Purge(engine, group, sums=True).run(dict.fromkeys(PURGED, datetime(2038, 1, 1, tzinfo=UTC)))
    )


def test_each_revoked_right_is_named(server, migrated_engine):
    use(migrated_engine, "all")
    assert len(RIGHTS) > 20
    account = f"'{WORKER}'@'127.0.0.1'"
    database = migrated_engine.url.database
    for right, table in RIGHTS:
        server.execute(f"REVOKE {right} ON `{database}`.{table} FROM {account}")
        try:
            with pytest.raises(FatalError) as refusal:
                use(migrated_engine, f"{right} {table}")
        finally:
            server.execute(f"GRANT {right} ON `{database}`.{table} TO {account}")
        said = str(refusal.value)
        granted = rf"lacks {right} on {table}: `GRANT {right} ON (\w+\.)?{table} TO '{WORKER}'@'%'`"
        # What MySQL says of SELECT … FOR UPDATE.
        locking = f"lacks a right to lock rows of {table}: grant UPDATE on it"
        assert re.search(granted, said) or (right == "UPDATE" and locking in said), said
        assert server.password() not in said
    use(migrated_engine, "again")
