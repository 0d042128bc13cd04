"""A network of a worker's own, in which packets are lost as in real ones: no answer and no error.

A relay accepts connections even while it drops what is sent on them. Here nothing is accepted.
"""

import functools
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import Self

#: Of the network that is kept for tests between devices (RFC 2544).
_NETWORK = "198.18"
#: Of a machine that is not there: frames sent to it reach nobody.
_NOBODY = "02:00:00:00:00:01"


class Line:
    """A cable between this machine and the namespace.

    Args:
        namespace: its name.
        device: name of the cable's end here; ``x`` behind it makes that of the other.
        number: of its network.
    """

    def __init__(self, namespace: str, device: str, number: int) -> None:
        self._namespace, self._device, self._far = namespace, device, f"{device}x"
        net = f"{_NETWORK}.{number // 64}.{number % 64 * 4}"
        base, _, last = net.rpartition(".")
        #: This machine's address, and the worker's.
        self.here, self.there = (f"{base}.{int(last) + one}" for one in (1, 2))
        far = f"{self._far} netns {namespace}"
        _run(f"ip link add {device} type veth peer name {far}")
        _run(f"ip addr add {self.here}/30 dev {device}")
        _run(f"ip link set {device} up")
        _run(f"ip -n {namespace} addr add {self.there}/30 dev {self._far}")
        _run(f"ip -n {namespace} link set {self._far} up")

    def lose(self, *, requests: bool = True, answers: bool = True) -> None:
        """Lose all that the worker sends on it, all that is sent to the worker, or both."""
        if requests:
            at = f"{self.here} dev {self._far} lladdr {_NOBODY} nud permanent"
            _run(f"ip -n {self._namespace} neigh replace {at}")
        if answers:
            _run(f"ip neigh replace {self.there} dev {self._device} lladdr {_NOBODY} nud permanent")

    def heal(self) -> None:
        """Lose nothing any more."""
        _run(f"ip -n {self._namespace} neigh flush dev {self._far} nud permanent")
        _run(f"ip neigh flush dev {self._device} nud permanent")


class Namespace:
    """A network namespace as a context manager, with a line for each name.

    Args:
        names: of its lines. In the namespace the host ``NAME.test`` is our end of the line.
    """

    def __init__(self, *names: str) -> None:
        # Not that of another a moment ago: its devices may still be there.
        self._tag = f"t{SystemRandom().randrange(16**8):08x}"
        self._names = names
        self._hosts = Path("/etc/netns") / self._tag / "hosts"
        self.lines: dict[str, Line] = {}

    @property
    def under(self) -> tuple[str, ...]:
        """What runs a program in it."""
        return "ip", "netns", "exec", self._tag

    def name(self, **lines: str) -> None:
        """Let names be other lines' addresses, as when DNS is changed: ``kafka="spare"``."""
        found = {name: self.lines[lines.get(name, name)].here for name in self.lines}
        # In place, as the file is mounted.
        self._hosts.write_text("".join(f"{at} {name}.test\n" for name, at in found.items()))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            _run(f"ip netns add {self._tag}")
            # The lines end with it.
            stack.callback(_run, f"ip netns del {self._tag}")
            _run(f"ip -n {self._tag} link set lo up")
            first = SystemRandom().randrange(64 * 200)
            for number, name in enumerate(self._names):
                self.lines[name] = Line(self._tag, f"{self._tag}{number}", first + number)
            stack.callback(shutil.rmtree, self._hosts.parent, ignore_errors=True)
            self._hosts.parent.mkdir(parents=True)
            self.name()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@functools.cache
def why_not() -> str:
    """Why there can be no such network here; empty where there can."""
    if os.geteuid():
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "network namespaces need the program ip (package iproute2)"
    try:
        with Namespace("probe") as found:
            found.lines["probe"].lose()
            found.lines["probe"].heal()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        return f"no network namespaces here: {str(said).strip()}"
    return ""


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True, text=True)
