"""What only MySQL has: its logins, its rounding, its rights."""

from datetime import datetime

import pymysql
import pytest
from sqlalchemy import text

from db.connection import driver
from tests.helpers.databases import mysql_only

pytestmark = mysql_only


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_accounts_log_in_with_tls_and_without(server, plugin):
    has = f"SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = '{plugin}'"
    if not server.execute(has):
        pytest.skip(f"{server.installation.version} has no {plugin}")
    driver.install()
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
    server.execute(f"DROP USER '{name}'@'127.0.0.1'")


def test_fractions_of_seconds_are_rounded(server):
    [(there,)] = server.execute("SELECT CAST('2026-11-27 10:00:00.9996' AS DATETIME(3))")
    assert there == datetime(2026, 11, 27, 10, 0, 1)


def test_what_needs_an_administrators_right_is_not_asked_for(server, migrated_engine):
    """Such as the number of warnings kept: an ordinary account has the server's."""
    with migrated_engine.connect() as connection:
        found = connection.scalar(text("SELECT @@max_error_count"))
    assert server.execute("SELECT @@GLOBAL.max_error_count") == [(found,)]
