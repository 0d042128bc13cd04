"""What the Dockerfile runs, without a container engine: its own lines, in folders of their own.

The image's first stage is ours to run; the worker runs as another user where we may change it.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from dev.audit import count_stored
from dev.servers.processes import Process, free_port
from tests.helpers.compiler import can_compile
from tests.helpers.worker import environment, wait_until

LINES = (ROOT / "Dockerfile").read_text().splitlines()
USER = "nobody"


def instructions(name: str) -> list[str]:
    """The lines of this instruction, without its name and options."""
    found = [line for line in LINES if line.startswith(f"{name} ")]
    return [re.sub(rf"^{name}( --\S+)*( CMD)? ", "", line) for line in found]


def interpreter() -> tuple[str, str | None]:
    """A Python, and the other user that can run it; ourselves where there is none."""
    if os.getuid() == 0:
        for python in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
            found = Path(python).resolve()
            if found.exists() and all(part.stat().st_mode & 1 for part in (found, *found.parents)):
                return python, USER
    return sys.executable, None


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_each_line_of_the_dockerfile(broker, migrated_url, topic, produce, folder, monkeypatch):
    image = folder / "image"
    image.mkdir()
    python, user = interpreter()
    copy_context(image / "app")
    for name in ("models", "requirements.lock", "requirements-build.lock"):
        (image / name).symlink_to(image / "app" / name)
    install, compile_module = (
        re.sub(r"(?<= )/(?=venv|cython|models|requirements)", f"{image}/", command)
        .replace("python -m venv", f"{shlex.quote(python)} -m venv")
        # Downloads of an earlier test or of set-up may serve: their hashes are compared, too.
        .replace("--no-cache-dir", "--quiet --disable-pip-version-check")
        for command in instructions("RUN")
    )
    subprocess.run(install, shell=True, check=True)
    compiles = can_compile(python)
    if compiles:
        subprocess.run(compile_module, shell=True, check=True)

    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"bad"])
    temporary = image / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    env = environment(
        KAFKA_URL=broker.url,
        DATABASE_URL=migrated_url,
        TOPIC=topic,
        STARTING_OFFSETS="earliest",
        FLUSH_INTERVAL=1,
        PORT=free_port(),
    ) | {
        "PATH": f"{image}/venv/bin:/usr/bin:/bin",
        "TMPDIR": str(temporary),
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(instruction_name: str) -> Process:
        command = json.loads(instructions(instruction_name)[-1])
        program = shutil.which(command[0], path=env["PATH"])
        log = image / f"{instruction_name}.log"
        return Process([program, *command[1:]], log, env=env, cwd=image / "app", user=user)

    worker = run("CMD")
    try:
        wait_until(lambda: count_stored(migrated_url) == 2, 60, "both events are stored")
        probe = run("HEALTHCHECK")
        assert probe.wait(20) == 0, probe.log_text()
        assert worker.stop() == 0, worker.log_text()
        assert ("rows by the compiled module" in worker.log_text()) == compiles
    finally:
        worker.kill()
    probe = run("HEALTHCHECK")
    assert probe.wait(20) == 1, "nobody answers"
    assert "/health/ does not answer" in probe.log_text()
    if user:
        written = [path for path in (image / "app").rglob("*") if path.owner() == user]
        assert not written, "the worker writes nothing where its code is"


def copy_context(target: Path) -> None:
    """Copy what `.dockerignore` lets in."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line.removeprefix("!") for line in lines if line.startswith("!")]
    ignore = shutil.ignore_patterns(*(line[3:] for line in lines if line.startswith("**/")))
    target.mkdir()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, target / path.name, ignore=ignore)
            else:
                shutil.copy(path, target)
