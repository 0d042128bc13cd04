"""What a platform runs: the Procfile's own lines."""

import os
import socket
import sys
from pathlib import Path

from honcho.environ import parse_procfile

from dev import ROOT
from dev.audit import count_stored
from dev.broker import Broker
from dev.processes import Process, free_port
from tests.support import environment, wait_until

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

    stores("web", 2)
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"{"])
    with socket.create_server(("127.0.0.1", int(env["PORT"]))):
        stores("worker", 4)  # without pages, so that the port may be taken
