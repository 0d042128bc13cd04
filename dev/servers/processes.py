"""Child processes that die with us, even if we are killed by SIGKILL.

Start them from the main thread: to the kernel the parent is the *thread* that forked.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dev import LOCAL
from dev.servers import parent_death_signal


class StartError(RuntimeError):
    """A process ended, or did not answer in time, while it was being started."""


class Running(Protocol):
    """What is used of a `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: signal.Signals) -> None: ...


class Process:
    """A running command, its output in a file.

    Args:
        command: program and arguments, no shell.
        log: file to which stdout and stderr are appended.
        env: the whole environment; None for ours.
        cwd: working directory; None for ours.
        user: whom to run as, when we are root; None for ourselves.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        script = parent_death_signal.__file__
        wrapper = [sys.executable, "-I", "-S", script, str(os.getpid()), user or ""]
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [*wrapper, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                # Ctrl-C in the terminal is for us, who then stop everything in order.
                start_new_session=True,
            )
        self._follow(popen, log)

    def _follow(self, running: Running, log: Path) -> None:
        self._running = running
        self.pid = running.pid
        self.log = log

    @property
    def exit_code(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._running.poll()

    def log_text(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; do nothing if it has ended."""
        if self.exit_code is None:
            self._running.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait until it ends and return its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        return self._running.wait(timeout)

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, and SIGKILL after ``timeout`` seconds; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL it and what it started; returns the exit status."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.signal(signal.SIGKILL)  # if it is not the leader of a group yet
        return self.wait(20)

    def wait_for(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until ``ready()``.

        Raises:
            StartError: it ended, or was not ready after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if self.exit_code is not None:
                raise StartError(f"{what} ended with status {self.exit_code}: see {self.log}")
            if time.monotonic() > deadline:
                raise StartError(f"{what} did not answer within {timeout:.0f} s: see {self.log}")
            time.sleep(0.05)


class Folder:
    """A context manager for a run's folder, ``.local/run/NAME-PID-…``.

    Folders of killed processes are removed by the next run.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = Path()

    def __enter__(self) -> Path:
        parent = LOCAL / "run"
        parent.mkdir(parents=True, exist_ok=True)
        for old in parent.glob(f"{self.name}-*-*"):
            if not _is_alive(int(old.name.split("-")[-2])):
                shutil.rmtree(old, ignore_errors=True)
        self.path = Path(tempfile.mkdtemp(prefix=f"{self.name}-{os.getpid()}-", dir=parent))
        # A server that runs as another user has its data below.
        self.path.chmod(0o755)
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Server(ABC):
    """A server in a process of its own, started and stopped by a ``with`` statement."""

    #: Seconds that it has to end in order.
    stop_timeout: float = 20
    _process: Process | None = None

    @abstractmethod
    def start(self) -> Self:
        """Start it and wait until it answers."""

    @property
    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Stop it cleanly; do nothing if it does not run."""
        if self._process:
            self._process.stop(self.stop_timeout)
            self._process = None

    def kill(self) -> None:
        """SIGKILL it: nothing is flushed, and clients are not notified."""
        if self._process:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP it: connections stay open and nothing answers."""
        if self._process:
            self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after ``pause``."""
        if self._process:
            self._process.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def free_port() -> int:
    """A TCP port that was free on all addresses, outside the range of outgoing connections."""
    while True:
        # Outgoing connections are given 32768 and above. Not `random`: tests seed it.
        port = 10_000 + secrets.randbelow(22_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port


def listens(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1 at ``port``."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
