"""The servers that demo and tests stand on: they keep what they were given, and leave nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from commands.traffic.simulator import events, send
from dev import ROOT
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import Broker, EmbeddedBroker
from dev.servers.chosen_broker import choose
from dev.servers.database import DatabaseServer
from dev.servers.processes import Process, StartError
from tests.helpers import wire
from tests.helpers.worker import children, environment, is_alive, wait_until
from tests.integration.conftest import Produce


def consume(broker: Broker, topic: str, number: int) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": f"reader-{topic}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    try:
        for message in iter(lambda: consumer.poll(20), None):
            values.append(message.value() or b"")
            if len(values) == number:
                break
    finally:
        consumer.close()
    return values


def test_what_is_produced_can_be_consumed(broker: Broker, topic: str, produce: Produce) -> None:
    produce([b"in turn", (b"placed", 2), (b"keyed", 3, b"key")])
    assert sorted(consume(broker, topic, 3)) == [b"in turn", b"keyed", b"placed"]


@pytest.mark.parametrize(("options", "codec"), [({}, "lz4"), ({"compression": None}, "none")])
def test_simulated_events_are_compressed_with_lz4_by_default(
    broker: Broker, topic: str, options: dict[str, Any], codec: str
) -> None:
    whole = send(broker.bootstrap, topic, events(), total=2000, **options)
    assert asyncio.run(whole) == 2000
    assert wire.codec_of_the_first_batch(broker, topic) == wire.CODECS[codec][0]


@pytest.mark.slow
def test_a_killed_broker_comes_back_with_its_topics(broker: Broker, tmp_path: Path) -> None:
    if not broker.can_restart:
        pytest.skip(f"the {broker.kind} broker holds everything in memory")
    with type(broker)(tmp_path / "broker") as own:
        own.create_topic("kept", 1)
        before = own.bootstrap
        own.kill()
        own.start()
        assert own.bootstrap == before
        own.add_partitions("kept", 2)
        own.delete_topic("kept")


def test_a_killed_database_server_keeps_its_rows(server: DatabaseServer, tmp_path: Path) -> None:
    own = type(server)(tmp_path / "killed", server.installation)
    with own:
        own.create_database("kept")
        own.execute("CREATE TABLE kept.t (n INT)")
        own.execute("INSERT INTO kept.t VALUES (7)")
        own.kill()
        own.start()
        assert own.execute("SELECT n FROM kept.t") == [(7,)]


def test_the_tests_database_servers_have_foreign_defaults(server: DatabaseServer) -> None:
    """Whatever passes on it does not lean on utf8mb4 or UTC being the default."""
    query = "SELECT @@character_set_server, @@global.time_zone"
    assert server.execute(query) == [("latin1", "+05:30")]


def test_passwords_stay_in_their_file(server: DatabaseServer) -> None:
    file = server.folder / "password"
    assert file.stat().st_mode & 0o077 == 0
    assert file.read_text() not in server.log.read_text(errors="replace")
    assert server.pid is not None
    command = Path(f"/proc/{server.pid}/cmdline").read_text()
    assert file.read_text() not in command
    assert repr(server.url("d")) == f"'mysql://flash_sale:***@127.0.0.1:{server.port}/d'"


def test_the_servers_are_reached_from_this_machine_only(server: DatabaseServer) -> None:
    assert server.execute("SELECT @@bind_address") == [("127.0.0.1",)]


_PARENT = """
import sys, time
from pathlib import Path
from dev.servers.chosen_broker import choose
from dev.servers.database import private_server
folder = Path(sys.argv[1])
private_server(folder / "database").start()
choose()[0](folder / "broker").start()
print("up", flush=True)
time.sleep(600)
"""


def test_servers_die_with_a_killed_parent(folder: Path) -> None:
    own = folder / "orphans"
    own.mkdir()
    process = Process([sys.executable, "-c", _PARENT, own], own / "log", cwd=ROOT)
    process.wait_for(lambda: "up" in process.log_text(), 60, "the parent")
    servers = children(process.pid)
    assert len(servers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_until(lambda: not any(map(is_alive, servers)), 10, "the servers end")


def test_a_command_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    process = Process(["false"], tmp_path / "log")
    with pytest.raises(StartError, match=r"it ended with status 1: see .*log"):
        process.wait_for(lambda: False, 10, "it")


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = Process(
        ["sh", "-c", "trap '' TERM; echo up; sleep 60 & wait; wait"], tmp_path / "log"
    )
    process.wait_for(lambda: "up" in process.log_text(), 10, "it")
    assert process.stop(timeout=0.5) == -signal.SIGKILL


def test_broker_is_chosen_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "embedded")
    assert choose()[0] is EmbeddedBroker
    monkeypatch.setenv("BROKER", "rabbit")
    with pytest.raises(StartError, match="BROKER is 'rabbit'"):
        choose()


def test_without_java_the_embedded_broker_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    kind, why = choose()
    assert kind is EmbeddedBroker
    assert "there is no Java 17" in why
    monkeypatch.setenv("BROKER", ApacheKafka.kind)
    with pytest.raises(StartError, match="BROKER=apache, but there is no Java 17"):
        choose()


def test_a_second_set_up_does_nothing() -> None:
    result = subprocess.run(
        ["make", "setup"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout + result.stderr == ""


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(
        ["make"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "demo", "test", "lint", "format", "chaos", "clean"):
        assert f"make {target}" in listed
