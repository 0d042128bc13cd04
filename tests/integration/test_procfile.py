"""What a platform runs: the Procfile's own lines."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

from honcho.environ import parse_procfile

from dev import ROOT
from dev.audit import count_stored
from dev.servers.broker import Broker
from dev.servers.processes import Process, free_port
from tests.helpers.worker import children, environment, is_alive, wait_until

PROCESSES: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def test_release_migrates_web_and_worker_store(
    broker: Broker, database_url: str, topic: str, produce, tmp_path: Path
) -> None:
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
    settings = {"KAFKA_URL": broker.url, "DATABASE_URL": database_url, "TOPIC": topic}
    env = environment(**settings, STARTING_OFFSETS="earliest", PORT=free_port()) | {"PATH": PATH}

    def run(name: str) -> Process:
        command = ["sh", "-c", f"exec {PROCESSES[name]}"]
        return Process(command, tmp_path / name, env=env, cwd=ROOT)

    release = run("release")
    assert release.wait(30) == 0, release.log_text()

    def stores(name: str, total: int) -> None:
        process = run(name)
        try:
            wait_until(lambda: count_stored(database_url) == total, 30, f"{name} stores")
            assert process.stop() == 0, process.log_text()
        finally:
            process.kill()

    with_honcho(env, tmp_path / "honcho")
    assert count_stored(database_url) == 2
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
    stores("web", 4)
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
    with socket.create_server(("127.0.0.1", int(env["PORT"]))):
        stores("worker", 6)  # without pages, so that the port may be taken


def with_honcho(env: dict[str, str], log: Path) -> None:
    """Run the web process as `honcho start web` does, until it has stored a batch."""
    honcho = Process([sys.executable, "-m", "honcho", "start", "web"], log, env=env, cwd=ROOT)
    try:
        # The first line may come before the log's end is known.
        line = r"web\.1 +\| .*\[INFO\] Batch 1: 1 valid rows written, 1 dropped \(1 malformed\), "
        wait_until(lambda: re.search(line, honcho.log_text()), 30, "a batch")
        assert "\x1b" not in honcho.log_text()
        started = children(honcho.pid)
        assert started
        honcho.signal(signal.SIGTERM)
        honcho.wait(30)
        wait_until(lambda: not any(map(is_alive, started)), 30, "the worker's end")
    finally:
        honcho.kill()
