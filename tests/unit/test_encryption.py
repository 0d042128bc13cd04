"""How the connection to the database is graded."""

import ssl

import pytest

from checks.encryption import grade
from checks.result import CheckResults, State
from config.settings import Settings
from dev.servers.certificates import Authority


def graded(version, host, options=""):
    """The grade of a connection with these options of `DATABASE_URL`."""
    url = f"mysql://u:p@{host}/d{options}"
    settings = Settings(DATABASE_URL=url, kafka_url="kafka://a:9")
    results = CheckResults()
    grade(version, host, settings.database_tls, results)
    [found] = results.all
    return found


@pytest.mark.parametrize("host", ["10.1.2.3", "db.shop.test", "jawsdb.us-east-1.rds.test"])
def test_a_plain_or_unverified_connection_elsewhere_is_a_warning(host):
    plain = graded("", host)
    assert (plain.state, "not encrypted" in plain.found) == (State.WARN, True)
    assert "turn on TLS" in plain.hint
    for options in ("", "?ssl_mode=REQUIRED", "?ssl_verify_cert=false"):
        found = graded("TLSv1.3", host, options)
        assert (found.state, "is not verified" in found.found) == (State.WARN, True), options
        assert "DATABASE_CA" in found.hint
    assert graded("TLSv1.3", host, "?ssl_mode=VERIFY_IDENTITY").found.endswith("name verified")
    by_name = graded("TLSv1.3", host, "?ssl_mode=VERIFY_CA")
    assert (by_name.state, "not its name" in by_name.found) == (State.OK, True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_on_this_machine_neither_is(host):
    assert graded("", host).state is State.OK
    assert graded("TLSv1.3", host).state is State.OK


def test_an_authority_alone_verifies(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text(Authority("of the test").pem)
    found = graded("TLSv1.3", "db.shop.test", f"?ssl_ca={authority}")
    assert (found.state, found.found) == (State.OK, "TLSv1.3, certificate and name verified")
    settings = Settings(
        DATABASE_URL="mysql://u:p@db.shop.test/d",
        kafka_url="kafka://a:9",
        database_ca=authority.read_text(),
    )
    assert settings.database_tls is not None
    assert settings.database_tls.verify_mode is ssl.CERT_REQUIRED
