"""A start waits for what may pass by itself, and shows what for; nothing else is waited for."""

import time
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from dev import ROOT
from dev.servers.processes import Process, free_port
from dev.servers.tcp_relay import RelayThread, TcpRelay
from tests.helpers.worker import FAUST, environment, wait_until


async def _forward(source, target):
    while data := await source.read(65536):
        target.write(data)
        await target.drain()


@contextmanager
def opened(port, server_port):
    """For as long as this lasts, the port leads to a server."""
    relay = RelayThread(TcpRelay("127.0.0.1", server_port, lambda: (_forward, _forward)))
    relay.start(port)
    yield
    relay.stop()


@pytest.fixture
def closed(server, broker, migrated_url):
    """Ports that nothing listens on yet, and what a worker has to be told of them."""
    database, kafka = free_port(), free_port()
    url = migrated_url.replace(f":{server.port}/", f":{database}/")
    return database, kafka, {"DATABASE_URL": url, "KAFKA_URL": f"127.0.0.1:{kafka}"}


def reason(running):
    try:
        status, _ = running.request("/health/")
    except OSError:
        return ""
    assert status == 200
    return running.get("/ready/").get("reason", "")


def test_start_waits_for_database_and_then_for_kafka(worker, closed, server, broker, migrated_url):
    database, kafka, settings = closed
    running = worker(**settings)
    away = "the worker waits to start: The database at 127.0.0.1:"
    wait_until(lambda: reason(running).startswith(away), 30, "it shows what it waits for")
    assert running.request("/ready/")[0] == 503
    with opened(database, make_url(migrated_url).port):
        gone = f"Kafka at 127.0.0.1:{kafka} does not answer"
        wait_until(lambda: gone in reason(running), 30, "it waits for Kafka")
        with opened(kafka, int(broker.bootstrap.rpartition(":")[2])):
            running.wait_ready(40)
    lines = [line for line in running.log_text().splitlines() if "Waiting up to" in line]
    assert len(lines) == 2, lines
    assert f"Waiting up to 300 s (START_TIMEOUT): The database at 127.0.0.1:{database}" in lines[0]


def test_sigterm_ends_a_start_that_waits(worker, closed):
    running = worker(**closed[2])
    wait_until(lambda: "waits to start" in reason(running), 30)
    begun = time.monotonic()
    assert running.terminate(10) == 0
    assert time.monotonic() - begun < 5
    assert "Traceback" not in running.log_text()


def test_a_start_that_waited_in_vain_says_who_refused(worker, closed):
    ports = free_port(), closed[1]
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    running = worker(KAFKA_URL=addresses, START_TIMEOUT=2)
    assert running.wait(60) == 1
    last = [line for line in running.log_text().splitlines() if "CRITICAL" in line][-1]
    for port in ports:
        assert f"Kafka at 127.0.0.1:{port} does not answer" in last
    assert "Waited " in last
    assert "Traceback" not in running.log_text()


@pytest.mark.slow
def test_a_command_waits_for_its_servers(closed, server, broker, its_settings, tmp_path):
    database, kafka, settings = closed
    env = environment(**{**its_settings, **settings})
    command = Process([*FAUST, "offsets", "show"], tmp_path / "log", env=env, cwd=ROOT)
    wait_until(lambda: "Waiting up to 15 s" in command.log_text(), 30, "it waits for Kafka")
    with opened(kafka, int(broker.bootstrap.rpartition(":")[2])):
        wait_until(lambda: "MySQL error 2003" in command.log_text(), 30, "it waits for MySQL")
        with opened(database, server.port):
            assert command.wait(60) == 0, command.log_text()
    assert "to read" in command.log_text()


def test_the_port_is_the_workers_while_it_waits(worker, closed):
    first = worker(**closed[2])
    wait_until(lambda: "waits to start" in reason(first), 30)
    second = worker(**closed[2], PORT=first.port)
    assert second.wait(30) == 1
    assert f"Port {first.port} on 0.0.0.0 cannot be used: Address already" in second.log_text()
