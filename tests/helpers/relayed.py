"""Apache Kafka with a second address, at which a proxy changes the traffic."""

from abc import abstractmethod
from pathlib import Path
from typing import Self

from dev.servers.apache_kafka import ApacheKafka
from dev.servers.processes import free_port
from dev.servers.tcp_relay import Forward, RelayThread, TcpRelay
from tests.helpers.trouble import Trouble


class RelayedKafka(ApacheKafka):
    """Clients of the second address, ``url``, stay behind the proxy; ``bootstrap`` is the first.

    Args:
        folder: for its files.
        host: of the second address, as brokers tell it to clients; None for this machine alone.
    """

    def __init__(self, folder: Path, host: str | None = None) -> None:
        super().__init__(folder)
        self._host = host or "127.0.0.1"
        self._bind = "0.0.0.0" if host else None
        self._inner_port = free_port()
        self._outer_port = free_port()
        self._relay: RelayThread | None = None

    @property
    def url(self) -> str:
        return f"kafka://{self._host}:{self._outer_port}"

    def start(self) -> Self:
        super().start()
        if self._relay is None:
            relay = TcpRelay("127.0.0.1", self._inner_port, self._forwards, self._bind)
            self._relay = RelayThread(relay)
            self._relay.start(self._outer_port)
        return self

    def stop(self) -> None:
        if self._relay is not None:
            self._relay.stop()
            self._relay = None
        super().stop()

    def _settings(self) -> str:
        plain = super()._settings()
        listeners = next(line for line in plain.splitlines() if line.startswith("listeners="))
        lines = [
            f"{listeners},OUTER://127.0.0.1:{self._inner_port}",
            f"advertised.listeners=PLAINTEXT://{self.bootstrap},"
            f"OUTER://{self._host}:{self._outer_port}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "OUTER:PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
        ]
        return plain + "\n".join([*lines, ""])

    @abstractmethod
    def _forwards(self) -> tuple[Forward, Forward]:
        """What passes on requests and responses of a connection."""


class TroubledKafka(RelayedKafka):
    """Its clients have what ``trouble`` says."""

    def __init__(self, folder: Path, host: str | None = None) -> None:
        super().__init__(folder, host)
        self.trouble = Trouble()

    def _forwards(self) -> tuple[Forward, Forward]:
        return self.trouble.forwards()
