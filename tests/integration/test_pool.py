"""Connections are asked whether they are alive, and rolled back, only where that is needed."""

from typing import Any

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import ProgrammingError

from db.connection import pool
from db.connection.engine import connect
from tests.helpers.trouble import Trouble


@pytest.fixture
def engine(database_url):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"), pool_size=1)
    yield engine
    engine.dispose()


@pytest.fixture
def sent(engine, monkeypatch):
    """What the driver's connection was asked, besides statements."""
    found = []
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
    for name in ("ping", "rollback"):
        whole = getattr(raw, name)

        def noted(*args, name=name, whole=whole, **named):
            found.append(name)
            return whole(*args, **named)

        monkeypatch.setattr(raw, name, noted)
    return found


def test_after_a_commit_nothing_is_rolled_back(engine, sent):
    with engine.begin() as connection:
        connection.execute(text("DO 1"))
    assert sent == []
    with engine.connect() as connection:
        connection.scalar(text("SELECT 1"))
    assert sent == ["rollback"]
    with pytest.raises(ProgrammingError), engine.begin() as connection:
        connection.execute(text("no statement"))
    assert sent == ["rollback"] * 2


def test_what_is_left_open_is_rolled_back(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (id INT PRIMARY KEY) ENGINE=InnoDB"))
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO one VALUES (1)"))
    with engine.begin() as connection:
        # SQLAlchemy does not know of this second transaction.
        connection.execute(text("COMMIT"))
        connection.execute(text("INSERT INTO one VALUES (2)"))
        event.listen(connection, "commit", lambda _: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(RuntimeError):
            connection.commit()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM one")) == 0


def test_a_connection_that_has_rested_is_asked(engine, sent, monkeypatch):
    for _ in range(3):
        with engine.begin():
            pass
    assert "ping" not in sent
    monkeypatch.setattr(pool, "TRUSTED", 0.0)
    with engine.begin():
        pass
    assert "ping" in sent


def test_one_that_the_server_has_closed_is_replaced(engine, database_url, monkeypatch):
    monkeypatch.setattr(pool, "TRUSTED", 0.0)
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT CONNECTION_ID()"))
    other = connect(make_url(database_url).set(drivername="mysql+pymysql"), pool_size=1)
    with other.connect() as connection:
        connection.exec_driver_sql(f"KILL {number}")
    other.dispose()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT CONNECTION_ID()")) != number


@pytest.mark.timeout(20)
def test_one_that_a_firewall_forgot_is_soon_replaced(server, database_url, monkeypatch):
    """It is never closed, and a statement may wait for 30 s."""
    monkeypatch.setattr(pool, "TRUSTED", 0.0)
    trouble = Trouble()
    with trouble.on_the_way_to(server.port) as port:
        url = make_url(database_url).set(drivername="mysql+pymysql", port=port)
        engine = connect(url, pool_size=1)
        with engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
        ping, timeout = raw.ping, raw._read_timeout

        def lost(*args, **named):
            trouble.dropping = True
            try:
                ping(*args, **named)
            finally:
                trouble.dropping = False

        monkeypatch.setattr(raw, "ping", lost)
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection is not raw
        assert raw._read_timeout == timeout > 20
        engine.dispose()
