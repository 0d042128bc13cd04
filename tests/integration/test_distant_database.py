"""A database that is far away: distance is not taken for work."""

import pytest
from sqlalchemy import make_url

from db.connection.engine import connect
from db.write.row_store import RowStore
from tests.helpers.sink import chunk, write
from tests.helpers.trouble import Trouble


@pytest.fixture
def distant(server, migrated_url):
    """The app's engine, to which each answer takes 150 ms."""
    trouble = Trouble()
    trouble.delay = 0.075
    with trouble.on_the_way_to(server.port) as port:
        url = make_url(migrated_url).set(drivername="mysql+pymysql", port=port)
        engine = connect(url)
        yield engine
        engine.dispose()


def test_statements_stay_large_at_a_distance(distant, ways):
    store = RowStore()
    with distant.connect() as connection:
        for number in range(2):
            rows = chunk(2000 * number, 2000 * (number + 1))
            store.store(write(connection), [rows])
        connection.rollback()
    assert ways == ["load"] * 2
