"""A server that takes eight connections, and three workers that would open seven each."""

from contextlib import ExitStack, suppress

import pytest
from sqlalchemy.exc import OperationalError

from dev.audit import count_stored, engine
from dev.servers.database import private_server
from tests.helpers.accounts import make_accounts
from tests.helpers.databases import each_server_slow, require
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import wait_until

CONNECTIONS = 8


@pytest.fixture(scope="module")
def server(request, folder):
    """In place of the session's server."""
    require(request.param)
    options = (f"--max-connections={CONNECTIONS}",)
    with private_server(folder / f"{request.param}-few", request.param, options=options) as running:
        make_accounts(running)
        yield running


@pytest.fixture
def migrated_url(database_url, migrate_cli, server):
    """In place of the session's: here the test migrates."""
    assert migrate_cli(database_url).returncode == 0
    return database_url


@pytest.fixture
def others(server, migrated_url):
    """Connections of other programs: MariaDB takes ten, whatever is asked for."""
    [(most,)] = server.execute("SELECT @@max_connections")
    with ExitStack() as held:
        for _ in range(most - CONNECTIONS):
            held.enter_context(engine(migrated_url).connect())
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("others")
@each_server_slow
def test_three_workers_share_few_connections(server, worker, broker, topic, migrated_url):
    # An administrator is let in when all are used.
    admin = server.url(migrated_url.rpartition("/")[2])
    running = [worker(FLUSH_INTERVAL=0.5, ROLLUP_INTERVAL=0.5) for _ in range(3)]
    for one in running:
        one.wait_ready(90)
    flow = Traffic(broker, topic, rate=500)
    looks = 0

    def many_stored():
        nonlocal looks
        for one in running:
            # What a page asks for; some of it may be refused.
            statuses = [one.request(path)[0] for path in ("/dashboard/", "/batches/", "/sales/")]
            assert max(statuses) <= 503
            looks += 1
        with suppress(OperationalError):  # an administrator's last connection is not gone yet
            return count_stored(admin) >= 10_000
        return False

    wait_until(many_stored, 90, "10,000 are stored")
    flow.stop()
    audit(admin, flow.sent)
    wait_until(lambda: all(one.is_ready() for one in running), 60, "all are ready")
    used = server.execute("SHOW GLOBAL STATUS LIKE 'Max_used_connections'")
    refused = sum(one.log_text().count("1040") for one in running)
    print(f"{used} connections at most, {refused} lines of refused ones, {looks} looks")
    assert [one.terminate() for one in running] == [0, 0, 0]
    assert "Traceback" not in "".join(one.log_text() for one in running)
