"""The image, built and run by Podman with a storage of its own: no daemon, no registry."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dev import LOCAL, ROOT

#: What the Dockerfile begins with, and what is here in its place.
BASES = {"python:3.11-bookworm": "build.tar", "python:3.11-slim-bookworm": "base.tar"}
#: How pip reaches its index from this machine; nothing of it stays in the image.
PIP = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
#: Seconds until Podman kills a container whose test was killed.
LIFE = 300


def require_podman() -> None:
    """Fetch what is needed, and skip the test where it cannot be had."""
    done = subprocess.run(
        [ROOT / "dev/setup/fetch_podman.sh"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no image can be built: {done.stderr.splitlines()[-1]}")


class Podman:
    """Podman, whose images and containers lie in a folder of its own.

    Args:
        folder: for its files.
        running: for its sockets: a path of at most 50 characters.
    """

    def __init__(self, folder: Path, running: Path) -> None:
        self._command = [
            *("podman", "--root", folder, "--runroot", running),
            *("--storage-driver", "vfs", "--events-backend", "none"),
            # Neither systemd nor the newer kind of control groups has to be here.
            *("--cgroup-manager", "cgroupfs", "--runtime", "runc"),
        ]
        for name, file in BASES.items():
            self.do("import", LOCAL / "image" / file, f"docker.io/library/{name}")

    def do(self, *arguments: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of Podman; its failure fails the test with what it printed."""
        done = subprocess.run(
            [*map(str, (*self._command, *arguments))],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert not check or done.returncode == 0, (done.stdout + done.stderr)[-5000:]
        return done

    def build(self, tag: str, **arguments: str) -> str:
        """Build the Dockerfile as it is, with these of its arguments; return the tag."""
        pip = [part for file in PIP if Path(file).exists() for part in ("-v", f"{file}:{file}:ro")]
        args = [
            part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")
        ]
        how = ("--isolation", "chroot", "--pull=never", "--layers=false", "--format", "docker")
        self.do("build", *how, *pip, *args, "-t", tag, ROOT)
        return tag

    def inspect(self, name: str, *path: str) -> Any:
        """What the JSON of an image or a container has at a path of keys."""
        found = json.loads(self.do("inspect", name).stdout)[0]
        for key in path:
            found = found[key]
        return found

    def files(self, tag: str, *folders: str) -> dict[str, str]:
        """Each file below these folders of an image, with the checksum of its bytes."""
        root = Path(self.do("image", "mount", tag).stdout.strip())
        try:
            return {
                str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
                for folder in folders
                for path in (root / folder).rglob("*")
                if path.is_file() and not path.is_symlink()
            }
        finally:
            self.do("image", "unmount", tag)

    @contextmanager
    def run(
        self, tag: str, secrets: Path, *command: str, **settings: object
    ) -> Iterator["Container"]:
        """Run a container as the documentation says, on this machine's network.

        Args:
            tag: of the image.
            secrets: folder that it sees as ``/run/secrets/etl``.
            command: instead of the image's own.
            settings: its environment.
        """
        name = uuid4().hex
        variables = [part for one in settings.items() for part in ("-e", "{}={}".format(*one))]
        # Lower than this process's own: raising a limit is a right that root may lack.
        limits = [part for one in ("nofile", "nproc") for part in ("--ulimit", f"{one}=1000:1000")]
        self.do(
            *("run", "--detach", "--name", name, "--timeout", str(LIFE)),
            *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges", "--network", "host"),
            *("--cgroups", "no-conmon", "--no-healthcheck", "--log-driver", "k8s-file"),
            *limits,
            *variables,
            *("-v", f"{secrets}:/run/secrets/etl:ro"),
            *(tag, *command),
        )
        try:
            yield Container(self, name)
        finally:
            # Shown where the test failed.
            done = self.do("logs", name, check=False)
            print((done.stdout + done.stderr)[-5000:])
            self.do("rm", "--force", "--time", "0", name)


class Container:
    """A running container."""

    def __init__(self, podman: Podman, name: str) -> None:
        self._podman, self._name = podman, name

    def log_text(self) -> str:
        """What it has written so far."""
        done = self._podman.do("logs", self._name)
        return done.stdout + done.stderr

    def execute(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command in it."""
        return self._podman.do("exec", self._name, *command, check=False)

    def status(self) -> dict[str, str]:
        """What the kernel says of its first process: user, rights and so on."""
        pid = self._podman.inspect(self._name, "State", "Pid")
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop(self, grace: int) -> int:
        """SIGTERM, and SIGKILL after ``grace`` seconds; returns the exit status."""
        self._podman.do("stop", "--time", str(grace), self._name)
        return int(self._podman.inspect(self._name, "State", "ExitCode"))

    def wait(self) -> int:
        """Wait until it ends; returns the exit status."""
        return int(self._podman.do("wait", self._name).stdout)
