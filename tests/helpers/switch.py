"""A port that leads to one database server at a time, as a proxy before several does."""

from dev.servers.tcp_relay import RelayThread, TcpRelay
from tests.helpers.trouble import Trouble


class Switch:
    """The port, as a context manager.

    Args:
        server_port: where it leads at first.
    """

    def __init__(self, server_port: int) -> None:
        self._trouble = Trouble()
        self._relay = TcpRelay("127.0.0.1", server_port, self._trouble.forwards)
        self._thread = RelayThread(self._relay)

    def url(self, url: str) -> str:
        """The URL of a database, through this port."""
        begin, _, database = url.rpartition("/")
        return f"{begin.rpartition(':')[0]}:{self._relay.port}/{database}"

    def lead_to(self, server_port: int) -> None:
        """Lead to another server: open connections are reset, new ones reach it."""
        self._relay.server_port = server_port
        self._trouble.reset()

    def __enter__(self) -> "Switch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
