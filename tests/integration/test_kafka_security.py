"""Kafka in TLS, with client certificates and logins, and each way in which that fails."""

from pathlib import Path

import pytest

from checks.kafka import check_kafka
from checks.result import CheckResults
from config.settings import Settings
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.certificates import Authority
from dev.servers.chosen_broker import choose
from dev.servers.processes import free_port
from pipeline.errors import FatalError
from source import patches
from source.cluster.auth import Cluster
from source.cluster.connectivity import reach
from source.cluster.topics import topic_bounds
from tests.helpers.secure_kafka import PASSWORD, USER, SecureKafka
from tests.helpers.worker import rows, wait_until

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@pytest.fixture(scope="module")
def authority():
    return Authority("the broker's")


@pytest.fixture(scope="module")
def broker(folder: Path, authority):
    """In place of the session's broker, for all fixtures that use one."""
    if choose()[0] is not ApacheKafka:
        pytest.skip("the embedded broker has neither TLS nor logins")
    with SecureKafka(folder / "secure", authority) as running:
        for mechanism in MECHANISMS[1:]:
            running.add_scram_user(mechanism)
        yield running


@pytest.fixture
def by_certificate(broker, authority):
    pair = authority.issue("client")
    return {
        "KAFKA_URL": broker.tls_url("CLIENTS"),
        "KAFKA_TRUSTED_CERT": authority.pem,
        "KAFKA_CLIENT_CERT": pair.certificate,
        "KAFKA_CLIENT_CERT_KEY": pair.key,
    }


@pytest.fixture
def by_password(broker, authority):
    return {
        "KAFKA_URL": broker.tls_url("LOGIN"),
        "KAFKA_TRUSTED_CERT": authority.pem,
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_USERNAME": USER,
        "KAFKA_PASSWORD": PASSWORD,
    }


def test_events_flow_with_every_kind_of_login(
    worker, produce, migrated_url, broker, topic, by_certificate, by_password, tmp_path
):
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}'])
    dead = f"kafka+ssl://127.0.0.1:{free_port()}"
    ways = [
        by_certificate | {"KAFKA_URL": f"{dead},{broker.tls_url('CLIENTS')}"},
        # One line, as some platforms keep it; the names are prefixed, as on shared clusters.
        by_certificate
        | {
            "KAFKA_CLIENT_CERT": by_certificate["KAFKA_CLIENT_CERT"].replace("\n", "\\n"),
            "KAFKA_CLIENT_CERT_KEY": by_certificate["KAFKA_CLIENT_CERT_KEY"].replace("\n", "\\n"),
            "KAFKA_PREFIX": topic[:6],
            "TOPIC": topic[6:],
        },
        by_certificate
        | {"KAFKA_URL": broker.tls_url("ELSEWHERE"), "KAFKA_VERIFY_HOSTNAME": "false"},
        by_certificate | {"KAFKA_URL": broker.tls_url("CLIENTS").replace("kafka+ssl", "SSL")},
        by_password,
        *(
            by_password
            | {
                "KAFKA_SASL_MECHANISM": mechanism,
                "KAFKA_URL": by_password["KAFKA_URL"].replace("kafka+ssl", "SASL_SSL"),
            }
            for mechanism in MECHANISMS[1:]
        ),
    ]
    folder = tmp_path / "temporary"
    folder.mkdir()
    running = [
        worker(**way, CONSUMER_GROUP=f"group-{number}", TMPDIR=folder)
        for number, way in enumerate(ways)
    ]
    wait_until(
        lambda: len(rows(migrated_url)) == len(ways),
        60,
        "the event is stored once for each way",
    )
    for one in running:
        assert PASSWORD not in one.log_text()
    assert not list(folder.rglob("*.pem")), "a private key stays on no disk"


@pytest.fixture
def refusals(broker, authority, by_certificate, by_password):
    """Settings by what is wrong with them, each with its sentence."""
    other = Authority("another")
    stranger, old = other.issue("client"), authority.issue("client", days=-1)
    without = {name: value for name, value in by_certificate.items() if "CLIENT" not in name}
    wrong = by_password | {"KAFKA_PASSWORD": f"not-{PASSWORD}"}
    return {
        "wrong authority": (
            by_certificate | {"KAFKA_TRUSTED_CERT": other.pem},
            "is not signed by the authority in KAFKA_TRUSTED_CERT: change that.",
        ),
        "no authority": (
            {"KAFKA_URL": broker.tls_url("CLIENTS")},
            "is signed by no authority known here: set KAFKA_TRUSTED_CERT",
        ),
        "expired server": (
            by_certificate | {"KAFKA_URL": broker.tls_url("EXPIRED")},
            "has expired: renew it there (KAFKA_URL names the broker).",
        ),
        "another host": (
            by_certificate | {"KAFKA_URL": broker.tls_url("ELSEWHERE")},
            "is issued to another host: change KAFKA_URL, or set KAFKA_VERIFY_HOSTNAME=false",
        ),
        "no client certificate": (
            without,
            "requires a client certificate: set KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY.",
        ),
        "expired client": (
            by_certificate
            | {"KAFKA_CLIENT_CERT": old.certificate, "KAFKA_CLIENT_CERT_KEY": old.key},
            "rejects KAFKA_CLIENT_CERT, which expired on ",
        ),
        "unknown client": (
            by_certificate
            | {"KAFKA_CLIENT_CERT": stranger.certificate, "KAFKA_CLIENT_CERT_KEY": stranger.key},
            "rejects KAFKA_CLIENT_CERT: use one that it trusts.",
        ),
        "wrong password": (
            wrong,
            "rejects the login by PLAIN: check KAFKA_USERNAME and KAFKA_PASSWORD.",
        ),
        "wrong password, SCRAM": (
            wrong | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"},
            "rejects the login by SCRAM-SHA-512: check KAFKA_USERNAME and KAFKA_PASSWORD.",
        ),
        "no login": (
            {name: by_password[name] for name in ("KAFKA_URL", "KAFKA_TRUSTED_CERT")},
            "closes the connection: it may need KAFKA_SASL_MECHANISM, KAFKA_USERNAME "
            "and KAFKA_PASSWORD.",
        ),
        "plain to TLS": (
            {"KAFKA_URL": broker.tls_url("LOGIN").replace("+ssl", "")},
            "may need TLS, begin KAFKA_URL with kafka+ssl://.",
        ),
        "TLS to plain": (
            {"KAFKA_URL": broker.url.replace("kafka:", "kafka+ssl:")},
            "does not use TLS: begin KAFKA_URL with kafka://.",
        ),
    }


async def test_each_kafka_error_is_one_sentence_with_a_fix(refusals):
    for name, (settings, sentence) in refusals.items():
        with pytest.raises(FatalError) as refusal:
            await reach(Cluster.of(made(settings)))
        assert sentence in str(refusal.value), name
        assert PASSWORD not in str(refusal.value)


def test_refused_worker_exits_with_the_sentence(worker, refusals):
    names = ("wrong authority", "no client certificate", "expired client", "wrong password")
    started = [(worker(**refusals[name][0]), refusals[name][1]) for name in names]
    for running, sentence in started:
        assert running.wait(60) == 1, running.log_text()
        log = running.log_text()
        assert sentence in log, log
        assert log.count("CRITICAL") == 1, log
        for forbidden in ("Traceback", PASSWORD, "PRIVATE KEY"):
            assert forbidden not in log


async def test_missing_rights_are_found_before_a_worker_starts(
    broker, topic, worker, produce, migrated_url, by_password
):
    group = f"group-{topic}"
    for kind in ("seen", "hidden"):
        broker.create_topic(f"{topic}-{kind}")

    async def found(name: str) -> dict[str, str]:
        results = CheckResults()
        await check_kafka(Cluster.of(made(by_password)), name, group, results)
        return {one.subject: f"{one.state} {one.hint}".strip() for one in results.all}

    broker.allow("group", group, "somebody else", "READ")
    refused = worker(**by_password)
    states = await found(topic)
    assert states["Topic rights"] == "ok"
    assert states["Group rights"] == "fail grant it READ on the group, or change CONSUMER_GROUP"
    assert refused.wait(60) == 1
    assert "does not let this account use the group" in refused.log_text()
    assert "Traceback" not in refused.log_text()
    broker.allow("topic", f"{topic}-seen", USER, "DESCRIBE")
    assert (await found(f"{topic}-seen"))["Topic rights"] == "fail grant it READ"
    broker.allow("topic", f"{topic}-hidden", "somebody else", "ALL")
    with pytest.raises(FatalError, match="does not let this account see the topic"):
        await topic_bounds(Cluster.of(made(by_password)), f"{topic}-hidden")

    # What docs/kafka.md asks for, and no more.
    broker.allow("topic", topic, USER, "READ")
    broker.allow("group", group, USER, "READ")
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}'])
    worker(**by_password)
    wait_until(lambda: len(rows(migrated_url)) == 1, 40, "the event is stored")


def made(settings) -> Settings:
    """The settings without a process for them, whose aiokafka is changed as the worker's."""
    patches.install()
    environment = {"DATABASE_URL": "mysql://u:p@127.0.0.1:9/d", **settings}
    return Settings(**{_field(name): value for name, value in environment.items()})


def _field(variable):
    return variable if variable == "DATABASE_URL" else variable.lower()
