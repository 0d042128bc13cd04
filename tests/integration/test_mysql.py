"""What only MySQL 8 has: its logins, its rounding, its grants. Set-up can fetch 8.0.15."""

from datetime import UTC, datetime

import pymysql
import pytest
from sqlalchemy import make_url, text

from db.engine import connect
from db.offsets import OffsetStore
from db.writer import Writer
from tests.helpers.databases import mysql_only
from tests.helpers.sales import chunk, event
from tests.helpers.sums import settle
from tests.integration.test_database_security import DOCUMENT, grants

pytestmark = mysql_only


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_accounts_log_in_with_tls_and_without(server, plugin):
    name = plugin[:6]
    server.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED WITH {plugin} BY 's3cret'")
    for disabled in (True, False):
        with (
            pymysql.connect(
                host="127.0.0.1",
                port=server.port,
                user=name,
                password="s3cret",
                ssl_disabled=disabled,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            [(_, cipher)] = cursor.fetchall()
            assert bool(cipher) is not disabled


def test_fractions_of_seconds_are_rounded(server):
    [(there,)] = server.execute("SELECT CAST('2026-11-27 10:00:00.9996' AS DATETIME(3))")
    assert there == datetime(2026, 11, 27, 10, 0, 1)


@pytest.mark.slow
def test_the_documented_grants_are_enough_for_the_roll_up(server, migrated_url):
    name = migrated_url.rpartition("/")[2]
    extra = "GRANT LOCK TABLES ON shop.* TO 'shop_worker'@'%'"
    assert f"`{extra};`" in DOCUMENT
    for statement in (*grants("After"), extra):
        server.execute(statement.replace("shop.", f"`{name}`."))
    url = make_url(migrated_url).set(
        drivername="mysql+pymysql", username="shop_worker", password="another long password"
    )
    worker = connect(url)
    OffsetStore(worker, "g").begin("t", {0: 0})
    Writer(worker, "g", "w").write(1, datetime.now(UTC), [chunk([event(2), event(3)])])
    settle(worker)
    with connect(make_url(migrated_url).set(drivername="mysql+pymysql")).connect() as connection:
        assert connection.scalar(text("SELECT SUM(orders) FROM sales_per_product")) == 2
    worker.dispose()
    server.execute("DROP USER 'shop_worker'@'%'")
