"""A replica that lags is promoted, and the old primary comes back with more than it has.

Replication was asynchronous: rows and offsets that the old primary acknowledged are missing on the
new one. The worker reaches either through a proxy.
"""

import re
import shutil

import pytest

from dev.audit import count_stored
from dev.servers.database import DEFAULT, chosen, private_server
from dev.servers.database.server import ADMIN
from tests.helpers.accounts import OWNER, WORKER, grant, make_accounts
from tests.helpers.databases import require
from tests.helpers.switch import Switch
from tests.helpers.traffic import Traffic, audit, stored_again
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_FOLLOW_MARIADB = (
    "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{user}',"
    " MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos"
)
_FOLLOW_MYSQL = (
    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port},"
    " SOURCE_USER = '{user}', SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1,"
    " GET_SOURCE_PUBLIC_KEY = 1"
)


class Pair:
    """A primary, and a replica that follows it.

    Args:
        folder: for both.
        name: of the kind of server.
    """

    def __init__(self, folder, name):
        self._name = name
        self.primary = self._server(folder / "primary", 1)
        self.replica = self._server(folder / "replica", 2)

    def _server(self, folder, number, *more, port=None):
        options = (f"--server-id={number}", "--log-bin=binlog", "--binlog-format=ROW", *more)
        if self._name.startswith("mysql"):
            options += ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
        return private_server(folder, self._name, port=port, options=options)

    def start(self):
        """Start both; the replica stores what the primary does."""
        self.primary.start()
        self.replica.folder.mkdir()
        shutil.copy2(self.primary.folder / "password", self.replica.folder)
        self.replica.start()
        if self.primary.is_mysql:
            # Its data was copied, and so was its identity.
            self.replica.stop()
            (self.replica.folder / "data" / "auto.cnf").unlink()
            self.replica.start()
        follow = _FOLLOW_MYSQL if self.primary.is_mysql else _FOLLOW_MARIADB
        password = self.primary.password()
        self.replica.execute(follow.format(port=self.primary.port, user=ADMIN, password=password))
        self._say("START")

    def lag(self):
        """The replica stores nothing more."""
        self._say("STOP")

    def promote(self):
        """The replica is a primary of its own."""
        self.replica.execute(f"RESET {self._word} ALL")

    def bring_back(self):
        """Start the old primary as what it is for then: it takes no writes."""
        old = self.primary
        self.primary = self._server(old.folder, 1, "--read-only=ON", port=old.port).start()

    @property
    def _word(self):
        return "REPLICA" if self.primary.is_mysql else "SLAVE"

    def _say(self, verb):
        self.replica.execute(f"{verb} {self._word}")


@pytest.fixture(params=[one] if (one := chosen()) else [DEFAULT, "mysql-9.7"])
def pair(request, tmp_path_factory):
    require(request.param)
    folder = tmp_path_factory.mktemp("pair")
    folder.chmod(0o755)
    found = Pair(folder, request.param)
    try:
        found.start()
        yield found
    finally:
        found.primary.kill()
        found.replica.kill()


@pytest.fixture
def migrated_url(pair, migrate_cli):
    """In place of the session's server: the database on the primary, which the replica has too."""
    pair.primary.create_database("shop")
    make_accounts(pair.primary)
    assert migrate_cli(grant(pair.primary, OWNER, "shop")).returncode == 0
    return grant(pair.primary, WORKER, "shop")


def of(server):
    """The worker's URL on a server; both have the same accounts."""
    return server.url("shop", WORKER)


@pytest.fixture
def fallen_behind(pair, worker, broker, topic, migrated_url):
    """A worker has stored at least 500 events that the replica, a primary of its own now, lacks.

    Gives the traffic and the worker, which reaches the database by way of ``proxy``.
    """
    flow = Traffic(broker, topic, rate=300)
    with Switch(pair.primary.port) as proxy:
        running = worker(DATABASE_URL=proxy.url(migrated_url), FLUSH_INTERVAL=0.3).wait_ready()
        wait_until(lambda: running.is_ready() and stored(pair.replica) > 500, 40, "it follows")
        pair.lag()
        before = stored(pair.replica)
        wait_until(lambda: stored(pair.primary) > before + 500, 30, "it lags")
        pair.primary.kill()
        pair.promote()
        yield flow, running, proxy


def stored(server):
    return count_stored(of(server))


def test_an_old_primary_with_more_rows_is_left_alone(pair, fallen_behind, worker, migrated_url):
    flow, running, proxy = fallen_behind
    proxy.lead_to(pair.replica.port)
    assert running.wait(60) == 1, "offsets that went back end it"
    assert re.search(r"The stored offset of \S+ is \d+, but", running.log_text())
    running = worker(DATABASE_URL=proxy.url(migrated_url), FLUSH_INTERVAL=0.3).wait_ready()
    stored_again(of(pair.replica))
    pair.bring_back()
    there = stored(pair.primary)
    proxy.lead_to(pair.primary.port)
    # At first its connections end.
    wait_until(lambda: "read-only" in str(running.get("/ready/")), 30, "it takes no writes")
    assert not running.is_ready()
    assert running.request("/health/")[0] == 200
    proxy.lead_to(pair.replica.port)
    wait_until(running.is_ready, 30, "ready again")
    flow.stop()
    audit(of(pair.replica), flow.sent)
    assert stored(pair.primary) == there, "nothing was stored on the old one"
    assert running.exit_code is None
    assert running.terminate() == 0


def test_a_worker_started_on_an_old_primary_skips_nothing(
    pair, fallen_behind, worker, migrated_url
):
    flow, running, proxy = fallen_behind
    running.kill()
    pair.bring_back()
    there = stored(pair.primary)
    proxy.lead_to(pair.primary.port)
    # Its offsets are ahead of those of the new primary.
    running = worker(DATABASE_URL=proxy.url(migrated_url), FLUSH_INTERVAL=0.3)
    wait_until(lambda: "read-only" in running.log_text(), 40, "it takes no writes")
    assert not running.is_ready()
    assert running.exit_code is None
    proxy.lead_to(pair.replica.port)
    ended = running.wait(60)
    print(f"status {ended}")
    assert ended == 1
    running = worker(DATABASE_URL=proxy.url(migrated_url), FLUSH_INTERVAL=0.3).wait_ready()
    flow.stop()
    audit(of(pair.replica), flow.sent)
    assert stored(pair.primary) == there, "nothing was stored on the old one"
    assert running.terminate() == 0
