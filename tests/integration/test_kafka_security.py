"""Kafka in TLS, with client certificates and logins, and each way in which that fails."""

import json
from pathlib import Path

import pytest

from local.broker import ApacheKafka, choose
from local.processes import free_port
from tests.certificates import Authority
from tests.secure_kafka import PASSWORD, USER, SecureKafka
from tests.support import rows, wait_until

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


def test_events_flow_in_every_way(
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
        *(by_password | {"KAFKA_SASL_MECHANISM": mechanism} for mechanism in MECHANISMS),
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


def test_what_is_refused_is_one_sentence(
    worker, migrated_url, broker, authority, by_certificate, by_password
):
    other = Authority("another")
    stranger, old = other.issue("client"), authority.issue("client", days=-1)
    without = {name: value for name, value in by_certificate.items() if "KAFKA_CLIENT" not in name}
    plain = {"KAFKA_URL": broker.tls_url("LOGIN").replace("+ssl", "")}
    cases = [
        (
            by_certificate | {"KAFKA_TRUSTED_CERT": other.pem},
            "is not signed by the authority in KAFKA_TRUSTED_CERT: change that.",
        ),
        (
            {"KAFKA_URL": broker.tls_url("CLIENTS")},
            "is signed by no authority known here: set KAFKA_TRUSTED_CERT",
        ),
        (
            by_certificate | {"KAFKA_URL": broker.tls_url("EXPIRED")},
            "has expired: renew it there (KAFKA_URL names the broker).",
        ),
        (
            by_certificate | {"KAFKA_URL": broker.tls_url("ELSEWHERE")},
            "is made out to another host: change KAFKA_URL, or set KAFKA_VERIFY_HOSTNAME=false",
        ),
        (without, "wants a client certificate: set KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY."),
        (
            by_certificate
            | {"KAFKA_CLIENT_CERT": old.certificate, "KAFKA_CLIENT_CERT_KEY": old.key},
            "refuses KAFKA_CLIENT_CERT, which expired on ",
        ),
        (
            by_certificate
            | {"KAFKA_CLIENT_CERT": stranger.certificate, "KAFKA_CLIENT_CERT_KEY": stranger.key},
            "refuses KAFKA_CLIENT_CERT: use one that it trusts.",
        ),
        (
            by_password | {"KAFKA_PASSWORD": f"not-{PASSWORD}"},
            "refuses the login by PLAIN: check KAFKA_USERNAME and KAFKA_PASSWORD.",
        ),
        (
            by_password
            | {"KAFKA_PASSWORD": f"not-{PASSWORD}", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"},
            "refuses the login by SCRAM-SHA-512: check KAFKA_USERNAME and KAFKA_PASSWORD.",
        ),
        (
            {name: by_password[name] for name in ("KAFKA_URL", "KAFKA_TRUSTED_CERT")},
            "closes the connection: it may want KAFKA_SASL_MECHANISM, KAFKA_USERNAME and so on.",
        ),
        (plain, "may want TLS, begin KAFKA_URL with kafka+ssl://."),
        (
            {"KAFKA_URL": broker.url.replace("kafka:", "kafka+ssl:")},
            "speaks no TLS: begin KAFKA_URL with kafka://.",
        ),
    ]
    started = [(worker(**settings), sentence) for settings, sentence in cases]
    for running, sentence in started:
        assert running.wait(90) == 1, running.log_text()
        log = running.log_text()
        assert sentence in log, log
        assert log.count("CRITICAL") == 1, log
        for forbidden in ("Traceback", PASSWORD, "PRIVATE KEY"):
            assert forbidden not in log


def test_check_finds_rights_that_are_missing(broker, topic, faust, by_password):
    def state(*subjects: str) -> list[str]:
        text = faust("check", "--json", **by_password, status=1)
        found, _ = json.JSONDecoder().raw_decode(text)
        return [
            one["state"] + " " + one["mend"]
            for one in found["findings"]
            if one["subject"] in subjects
        ]

    group = f"group-{topic}"
    broker.allow("group", group, "somebody else", "READ")
    assert state("Kafka login", "Topic rights", "Group rights") == [
        "ok ",
        "ok ",
        "fail grant it READ on the group, or change CONSUMER_GROUP",
    ]
    broker.allow("topic", topic, USER, "DESCRIBE")
    assert state("Topic rights") == ["fail grant it READ and DESCRIBE on the topic"]
    broker.allow("topic", f"{topic}-hidden", "somebody else", "ALL")
    broker.create_topic(f"{topic}-hidden")
    text = faust("check", **by_password | {"TOPIC": f"{topic}-hidden"}, status=1)
    assert "does not let this account see the topic" in text
