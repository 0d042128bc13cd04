"""Logins to Kafka by token and without TLS, and secrets that change while a worker runs."""

import logging
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.load import load
from config.settings import Settings
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.certificates import Authority
from dev.servers.chosen_broker import choose
from pipeline.errors import FatalError
from source import patches
from source.cluster.auth import Cluster
from source.cluster.connectivity import reach
from tests.helpers.events import event
from tests.helpers.secure_kafka import CONNECTION_STRING, PASSWORD, USER, LoginKafka
from tests.helpers.token_endpoint import CLIENT, LOGIN, SECRET, TokenEndpoint
from tests.helpers.worker import rows, wait_until


@pytest.fixture(scope="module")
def authority():
    return Authority("the broker's")


@pytest.fixture(scope="module")
def endpoint(authority, folder: Path):
    with TokenEndpoint(authority, folder) as running:
        yield running


@pytest.fixture(scope="module")
def broker(folder: Path, authority, endpoint):
    """In place of the session's broker, for all fixtures that use one."""
    if choose()[0] is not ApacheKafka:
        pytest.skip("the embedded broker has no logins")
    with LoginKafka(folder / "logins", authority, endpoint) as running:
        yield running


@pytest.fixture
def by_token(broker, authority, endpoint):
    endpoint.reset()
    return {
        "KAFKA_URL": broker.tls_url("OAUTH").replace("kafka+ssl", "SASL_SSL"),
        "KAFKA_TRUSTED_CERT": authority.pem,
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_USERNAME": CLIENT,
        "KAFKA_PASSWORD": SECRET,
        "KAFKA_OAUTH_TOKEN_URL": endpoint.url,
        "KAFKA_OAUTH_SCOPE": "read write",
        "KAFKA_OAUTH_EXTENSIONS": "logicalCluster=lkc-1,identityPoolId=pool-1",
        "KAFKA_OAUTH_CA": authority.pem,
    }


@pytest.fixture
def in_the_open(broker):
    return {
        "KAFKA_URL": f"SASL_PLAINTEXT://127.0.0.1:{broker.port_of['OPEN']}",
        "KAFKA_USERNAME": USER,
        "KAFKA_PASSWORD": PASSWORD,
        "KAFKA_ALLOW_PLAINTEXT_LOGIN": "true",
    }


@pytest.mark.slow
def test_worker_logs_in_again_before_its_token_ends(
    worker, produce, migrated_url, by_token, endpoint
):
    endpoint.life = 5
    running = worker(**by_token).wait_ready()
    sent = 0

    def send():
        nonlocal sent
        produce([event(n) for n in range(sent, sent + 4)])
        sent += 4
        running.wait_stored(migrated_url, sent)

    # Each token ends meanwhile, and with it every connection.
    at_first = len(endpoint.tokens)
    while len(endpoint.tokens) < at_first + 2:
        send()
    assert not re.search("ERROR|WARNING|closed", running.log_text()), "renewed in time"
    endpoint.status = 503
    wait_until(
        lambda: "does not answer: start it, or change it (HTTP 503)" in running.log_text(), 20
    )
    endpoint.status = 200
    send()
    assert len(rows(migrated_url)) == sent
    assert len(endpoint.tokens) < 30
    assert endpoint.forms[0] == {"grant_type": "client_credentials", "scope": "read write"}
    assert running.terminate() == 0
    log = running.log_text()
    assert "Traceback" not in log
    assert not [one for one in (SECRET, *endpoint.tokens) if one in log]


async def test_each_rejected_token_is_one_sentence(by_token, endpoint, authority, caplog):
    caplog.set_level(logging.DEBUG)

    async def said(**change):
        with pytest.raises(FatalError) as refusal:
            await reach(Cluster.of(made(by_token | change)))
        return str(refusal.value)

    await reach(Cluster.of(made(by_token)))
    client = "KAFKA_OAUTH_TOKEN_URL rejects the client: check KAFKA_USERNAME and KAFKA_PASSWORD."
    assert await said(KAFKA_PASSWORD=f"not {SECRET}") == client
    assert await said(KAFKA_USERNAME="somebody") == client
    scope = "KAFKA_OAUTH_TOKEN_URL rejects the scope: check KAFKA_OAUTH_SCOPE."
    assert await said(KAFKA_OAUTH_SCOPE="wrong") == scope
    untrusted = "KAFKA_OAUTH_TOKEN_URL has a certificate that is not trusted: set KAFKA_OAUTH_CA"
    assert (await said(KAFKA_OAUTH_CA="")).startswith(untrusted)
    away = "KAFKA_OAUTH_TOKEN_URL does not answer: start it, or change it (ClientConnectorError)."
    assert await said(KAFKA_OAUTH_TOKEN_URL="https://127.0.0.1:9/token") == away
    endpoint.status = 503
    assert (await said()).endswith("does not answer: start it, or change it (HTTP 503).")
    endpoint.status = 404
    assert await said() == "KAFKA_OAUTH_TOKEN_URL answers with HTTP 404: check it."
    endpoint.status, endpoint.audience = 200, "payments"
    refused = await said()
    assert "rejects the login by OAUTHBEARER: the broker wants another issuer, audience" in refused
    assert "(iss https://login.example, aud payments, scope read, exp 20" in refused
    endpoint.audience, endpoint.life = "kafka", -60
    assert "rejects the login by OAUTHBEARER: the broker wants another" in await said()
    endpoint.life = 300
    plain = {"KAFKA_OAUTH_TOKEN_URL": "", "KAFKA_OAUTH_SCOPE": "", "KAFKA_OAUTH_EXTENSIONS": ""}
    plain |= {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_OAUTH_CA": ""}
    assert "does not offer PLAIN: change KAFKA_SASL_MECHANISM." in await said(**plain)
    assert not [one for one in (SECRET, *endpoint.tokens) if one in caplog.text]


async def test_token_of_awss_signer_is_sent(by_token, endpoint, monkeypatch):
    """AWS's is not verified here, so the signer gives one that this broker takes, or does not."""

    class Signer:
        @staticmethod
        def generate_auth_token(region):
            assert region == "eu-west-1"
            _, answer = endpoint.answer(LOGIN, "")
            return answer["access_token"], 1000 * (time.time() + endpoint.life)

    module = SimpleNamespace(MSKAuthTokenProvider=Signer)
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", module)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    cluster = Cluster.of(
        made(
            {name: by_token[name] for name in ("KAFKA_URL", "KAFKA_TRUSTED_CERT")}
            | {"KAFKA_SASL_MECHANISM": "AWS_MSK_IAM"}
        )
    )
    await reach(cluster)
    endpoint.audience = "payments"
    cluster.options["sasl_oauth_token_provider"].forget()
    with pytest.raises(FatalError, match="allow its role kafka-cluster:Connect and what docs/k"):
        await reach(cluster)


def test_worker_with_a_wrong_secret_ends_with_the_sentence(worker, by_token, endpoint):
    wrong_secret = worker(**by_token | {"KAFKA_PASSWORD": f"not {SECRET}"})
    assert wrong_secret.wait(60) == 1
    log = wrong_secret.log_text()
    assert "CRITICAL] KAFKA_OAUTH_TOKEN_URL rejects the client: check KAFKA_USERNAME and" in log
    assert log.count("CRITICAL") == 1
    assert "Traceback" not in log
    assert SECRET not in log


def test_login_without_tls_where_it_is_allowed(worker, produce, migrated_url, in_the_open, broker):
    broker.add_scram_user("SCRAM-SHA-256")
    produce([event(1)])
    event_hubs = {"KAFKA_USERNAME": "$ConnectionString", "KAFKA_PASSWORD": CONNECTION_STRING}
    ways = [
        in_the_open | {"KAFKA_SASL_MECHANISM": "PLAIN"},
        in_the_open | {"KAFKA_SASL_MECHANISM": "PLAIN", **event_hubs},
        in_the_open
        | {
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "KAFKA_URL": in_the_open["KAFKA_URL"].replace("SASL_PLAINTEXT://", ""),
        },
    ]
    running = [worker(**way, CONSUMER_GROUP=f"group-{n}") for n, way in enumerate(ways)]
    wait_until(lambda: len(rows(migrated_url)) == len(ways), 60, "stored once for each way")
    for one in running:
        assert "s3cret" not in one.log_text()


@pytest.mark.slow
def test_rotated_kafka_password_is_taken(
    worker, produce, migrated_url, in_the_open, broker, tmp_path
):
    broker.add_scram_user("SCRAM-SHA-256")
    file, new = tmp_path / "password", tmp_path / "new"
    file.write_text(f"{PASSWORD}\n")
    login = {"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": file}
    running = worker(**in_the_open | login, KAFKA_SASL_MECHANISM="SCRAM-SHA-256").wait_ready()
    produce([event(n) for n in range(4)])
    running.wait_stored(migrated_url, 4)
    broker.add_scram_user("SCRAM-SHA-256", f"new-{PASSWORD}")
    new.write_text(f"new-{PASSWORD}")
    new.rename(file)
    wait_until(lambda: "the new text of KAFKA_PASSWORD_FILE" in running.log_text(), 30)
    produce([event(n) for n in range(4, 8)])
    running.wait_stored(migrated_url, 8)
    assert len(rows(migrated_url)) == 8
    assert PASSWORD not in running.log_text()
    assert running.terminate() == 0


async def test_rotated_certificates_are_taken(broker, authority, monkeypatch, tmp_path):
    other = Authority("another")

    def put(name, text):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(tmp_path / name)

    def put_pair(issuer):
        pair = issuer.issue("client")
        put("key.pem", pair.key)
        put("cert.pem", pair.certificate)

    put("ca.pem", authority.pem)
    put_pair(authority)
    environment = {
        "ENV_FILE": "/dev/null",
        "DATABASE_URL": "mysql://u:p@127.0.0.1:9/d",
        "KAFKA_URL": broker.tls_url("CLIENTS"),
        "KAFKA_TRUSTED_CERT_FILE": tmp_path / "ca.pem",
        "KAFKA_CLIENT_CERT": tmp_path / "cert.pem",
        "KAFKA_CLIENT_CERT_KEY": tmp_path / "key.pem",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    cluster = Cluster.of(load())
    await reach(cluster)
    put_pair(other)
    with pytest.raises(FatalError, match="rejects KAFKA_CLIENT_CERT"):
        await reach(cluster)
    put_pair(authority)
    await reach(cluster)
    put("ca.pem", other.pem)
    with pytest.raises(FatalError, match="is not signed by the authority in KAFKA_TRUSTED_CERT"):
        await reach(cluster)
    put("ca.pem", authority.pem)
    await reach(cluster)


def made(settings) -> Settings:
    """The settings without a process for them, whose aiokafka is changed as the worker's."""
    patches.install()
    fields = {name.lower(): value for name, value in settings.items()}
    return Settings(DATABASE_URL="mysql://u:p@127.0.0.1:9/d", **fields)
