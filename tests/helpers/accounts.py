"""The accounts that the documentation tells users to make, with exactly its grants."""

import re
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Engine, create_engine, make_url

from db.engine import connect
from dev import ROOT
from dev.database import DatabaseServer, SecretURL

#: Who migrates, and who does all else.
OWNER, WORKER = "shop_migrate", "shop_worker"

_DOCUMENT = (ROOT / "docs" / "database.md").read_text()
_HOST = "127.0.0.1"
#: By port, the servers that are running.
_servers: dict[int, DatabaseServer] = {}
_dbas: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()
_owners: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()


def grants(account: str) -> list[str]:
    """The document's GRANT statements for an account, on the database ``shop``."""
    found = re.findall(rf"^(GRANT [^;]* TO '{account}'@'%');$", _DOCUMENT, re.MULTILINE)
    assert found, account
    return found


def make_accounts(server: DatabaseServer) -> None:
    """Make both accounts on a server, with no rights yet."""
    _servers[server.port] = server
    for account in (OWNER, WORKER):
        server.execute(
            f"CREATE USER IF NOT EXISTS '{account}'@'{_HOST}' IDENTIFIED BY '{server.password()}'"
        )


def grant(server: DatabaseServer, account: str, database: str) -> SecretURL:
    """Give an account the document's rights on a database; returns its URL there."""
    for statement in grants(account):
        here = statement.replace(" ON shop.", f" ON `{database}`.").replace("@'%'", f"@'{_HOST}'")
        server.execute(here)
    return server.url(database, account)


def dba(engine: Engine) -> Engine:
    """An engine on the same database with all rights: for what its owner does to the tables."""
    if engine not in _dbas:
        url = _url(server_of(engine).url(engine.url.database or ""))
        _dbas[engine] = create_engine(url, pool_size=1, isolation_level="READ COMMITTED")
    return _dbas[engine]


def owner(engine: Engine) -> Engine:
    """The app's own engine on the same database, for the account that migrates."""
    if engine not in _owners:
        _owners[engine] = connect(
            _url(grant(server_of(engine), OWNER, engine.url.database or "")), pool_size=1
        )
    return _owners[engine]


def server_of(engine: Engine) -> DatabaseServer:
    """The server that an engine connects to."""
    return _servers[engine.url.port or 0]


def _url(url: str) -> URL:
    return make_url(url).set(drivername="mysql+pymysql")
