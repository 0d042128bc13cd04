"""The proxy sees each COMMIT, also where the server offers TLS."""

from contextlib import closing
from typing import Any

import pymysql
import pytest
from sqlalchemy import make_url

from dev.servers.certificates import Authority
from dev.servers.database import private_server
from tests.chaos.proxy import Proxy
from tests.helpers.databases import require


@pytest.fixture(scope="module")
def server(request, folder):
    """In place of the session's server: one that offers TLS, as newer ones do by themselves."""
    require(request.param)
    files = folder / f"{request.param}-offering-tls-files"
    files.mkdir(exist_ok=True)
    key = Authority("the proxy's").issue("database").write(files / "server.pem")
    key.chmod(0o644)  # the server may run as another user
    options = (f"--ssl-cert={key}", f"--ssl-key={key}")
    data = folder / f"{request.param}-offering-tls"
    with private_server(data, request.param, options=options) as running:
        yield running


def test_the_answer_to_a_commit_is_lost_where_tls_is_offered(server):
    url = make_url(server.create_database("lost"))
    server.execute("CREATE TABLE lost.t (n INT)")
    login: dict[str, Any] = {"user": url.username, "password": url.password}
    with Proxy(server.port) as proxy:
        proxy.lost_commits = 1
        with closing(pymysql.connect(host="127.0.0.1", port=proxy.port, **login)) as connection:
            connection.query("INSERT INTO lost.t VALUES (7)")
            with pytest.raises(pymysql.OperationalError):
                connection.commit()
    assert (proxy.lost_commits, proxy.cuts) == (0, 1)
    assert server.execute("SELECT n FROM lost.t") == [(7,)]
