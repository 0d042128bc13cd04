"""Engines of the documented accounts, and of who may do all, on a test's database."""

from weakref import WeakKeyDictionary

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url

from db.connection.engine import connect
from dev.servers.database import DatabaseServer, accounts
from dev.servers.database.accounts import OWNER, WORKER, grant, grants

__all__ = [
    "OWNER",
    "WORKER",
    "close",
    "dba",
    "grant",
    "grants",
    "make_accounts",
    "owner",
    "server_of",
]

#: By port, the servers that are running.
_servers: dict[int, DatabaseServer] = {}
_dbas: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()
_owners: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()


def make_accounts(server: DatabaseServer) -> None:
    """Make both accounts on a server, with no rights yet."""
    _servers[server.port] = server
    accounts.make_accounts(server)


def dba(engine: Engine) -> Engine:
    """An engine on the same database with all rights: for what its owner does to the tables."""
    if engine not in _dbas:
        url = _url(server_of(engine).url(engine.url.database or ""))
        _dbas[engine] = create_engine(url, poolclass=NullPool, isolation_level="READ COMMITTED")
    return _dbas[engine]


def owner(engine: Engine) -> Engine:
    """The app's own engine on the same database, for the account that migrates."""
    if engine not in _owners:
        url = _url(grant(server_of(engine), OWNER, engine.url.database or ""))
        _owners[engine] = connect(url, pool_size=1)
    return _owners[engine]


def close(engine: Engine) -> None:
    """Close a test's engine and its owner's: a server takes only so many connections."""
    if engine in _owners:
        _owners.pop(engine).dispose()
    engine.dispose()


def server_of(engine: Engine) -> DatabaseServer:
    """The server that an engine connects to."""
    return _servers[engine.url.port or 0]


def _url(url: str) -> URL:
    return make_url(url).set(drivername="mysql+pymysql")
