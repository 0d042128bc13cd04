"""ZooKeeper, which Apache Kafka needed before it kept its metadata itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dev.servers.processes import Process, Server, free_port, listens


class ZooKeeper(Server):
    """One server, on a free port of 127.0.0.1.

    Args:
        folder: its data, settings and log; created if missing.
        java: the command that runs a class of Kafka's libraries.
    """

    def __init__(self, folder: Path, java: Sequence[str | Path]) -> None:
        self.folder = folder
        self.port = free_port()
        self._java = java

    def start(self) -> Self:
        """Start it and wait until it accepts connections.

        Raises:
            StartError: it did not within 60 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "zookeeper.properties"
        settings.write_text(
            f"dataDir={self.folder / 'data'}\n"
            f"clientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n"
            # A killed broker may register again after two of these, in ms.
            "tickTime=500\n"
        )
        command = [*self._java, "org.apache.zookeeper.server.ZooKeeperServerMain", settings]
        self._process = Process(command, self.folder / "zookeeper.log", cwd=self.folder)
        self._process.wait_for(lambda: listens(self.port), 60, "ZooKeeper")
        return self
