"""Errors that are neither a row's fault nor an outage, made by a trigger on the real server."""

import pytest
from sqlalchemy import text

from dev.audit import engine
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server
from tests.helpers.events import event, ids
from tests.helpers.worker import dead_letters, wait_until
from tests.integration.test_refused_rows import refuse


@pytest.mark.parametrize(
    "code", [1064, *(pytest.param(code, marks=pytest.mark.slow) for code in (1105, 3100))]
)
@each_server
def test_the_event_is_named_and_waits_and_all_else_goes_on(worker, produce, migrated_url, code):
    database = engine(migrated_url)
    with dba(database).begin() as connection:
        refuse(connection, code)
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([(event(n, category="bad" if n == 57 else "c"), n % 2) for n in range(100)])
    others = sorted(f"e{n}" for n in range(100) if n % 2 == 0 or n < 57)
    wait_until(lambda: ids(migrated_url) == others, 30)
    wait_until(lambda: not running.is_ready(), 10)
    produce([(event(n), n % 2) for n in range(100, 120)])
    others = sorted([*others, *(f"e{n}" for n in range(100, 120, 2))])
    wait_until(lambda: ids(migrated_url) == others, 30)
    reason = running.get("/ready/")["reason"]
    assert reason.startswith("an event cannot be stored: ")
    assert f"/1/28: MySQL error {code}" in reason
    assert running.request("/health/")[0] == 200
    assert dead_letters(migrated_url) == []
    with dba(database).begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    wait_until(lambda: len(ids(migrated_url)) == 120, 20)
    wait_until(running.is_ready, 10)
    assert running.log_text().count("An event cannot be stored") == 1
