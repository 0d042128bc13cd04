"""The servers of a benchmark: Apache Kafka and a private database, and a fresh schema a run."""

import contextlib
import os
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from sqlalchemy import make_url

from benchmarks.traffic.mixes import Mix, sale
from benchmarks.traffic.topics import CODEC, Topic, fill
from db.connection.engine import connect
from db.schema.upgrade import migrate
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import DEFAULT_PARTITIONS
from dev.servers.certificates import Authority
from dev.servers.chosen_broker import choose
from dev.servers.database import DEFAULT, DatabaseServer, chosen, private_server
from dev.servers.processes import StartError, free_port

#: As on a real server of this size; the rest are the server's defaults and those of
#: dev.servers.database (innodb_flush_log_at_trx_commit = 1: a commit is on disk before it is
#: answered).
_OPTIONS = ("--innodb-buffer-pool-size=4G", "--innodb-flush-method=O_DIRECT")
_OF_MARIADB = ("--innodb-log-file-size=2G",)
_OF_MYSQL = ("--innodb-redo-log-capacity=2G",)
#: As it is shipped, with a binary log; it takes LOAD DATA LOCAL only where that was turned on.
_SHIPPED_MYSQL = (
    "--log-bin=binlog",
    "--server-id=1",
    f"--local-infile={os.environ.get('LOCAL_INFILE', 'OFF')}",
)
#: Named in the results, as the server answers them.
DATABASE_VARIABLES = (
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "innodb_buffer_pool_size",
    "innodb_flush_method",
    "innodb_autoinc_lock_mode",
    "local_infile",
    "log_bin",
    "sync_binlog",
    "max_allowed_packet",
)
#: Those that the other kind of server has not.
_MARIADB_VARIABLES = ("binlog_format", "innodb_log_file_size")
_MYSQL_VARIABLES = ("innodb_redo_log_capacity",)


def database_server(folder: Path, *options: str, sized: bool = True) -> DatabaseServer:
    """The server that ``SERVER`` names, set up for a benchmark.

    Args:
        folder: its data and log.
        options: more of them.
        sized: whether its buffers and logs are those of a larger server, and not as shipped.
    """
    is_mysql = (chosen() or DEFAULT).startswith("mysql")
    sizes = (*_OPTIONS, *(_OF_MYSQL if is_mysql else _OF_MARIADB)) if sized else ()
    return private_server(folder, options=(*sizes, *(_SHIPPED_MYSQL if is_mysql else ()), *options))


class KafkaAsShipped(ApacheKafka):
    """Apache Kafka as its own start script runs it, and with a port that has TLS.

    Args:
        folder: its data, settings and log.
        authority: signs its certificate.
    """

    # The tests' broker does without the second compiler, which makes encryption many times as fast.
    jvm_options = (
        "-Xms1g",
        "-Xmx1g",
        "-server",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
    )

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder)
        self._authority = authority
        self._tls_port = free_port()

    @property
    def tls_bootstrap(self) -> str:
        """The address of that port."""
        return f"127.0.0.1:{self._tls_port}"

    def _settings(self) -> str:
        keys = self._authority.issue("kafka").write(self.folder / "kafka.pem")
        more = (
            self._listeners({"SSL": self._tls_port}),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={keys}",
            "",
        )
        return super()._settings() + "\n".join(more)


class Stage:
    """Broker and database, both ended with the ``with`` block.

    Args:
        folder: where they keep what they have.

    Raises:
        StartError: the broker to use is not Apache Kafka.
    """

    def __init__(self, folder: Path) -> None:
        kind, why = choose()
        if kind is not ApacheKafka:
            raise StartError(
                f"A benchmark needs Apache Kafka, because the embedded broker forgets old events: "
                f"install Java 17 and Maven and run `make setup`, or unset BROKER. ({why})"
            )
        self.folder = folder
        #: Signs the certificates of servers that have TLS.
        self.authority = Authority("benchmark")
        self.broker = KafkaAsShipped(folder / "broker", self.authority)
        # Without a certificate, as clients take TLS where it is offered, and not all of them do.
        self.server = database_server(folder / "database")
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.broker)
            stack.enter_context(self.server)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def with_tls(self) -> Iterator[Self]:
        """The same broker, and another database, which has TLS."""
        keys = self.authority.issue("database").write(self.folder / "database.pem")
        keys.chmod(0o644)  # the server may run as another user
        with self.with_server("tls", f"--ssl-cert={keys}", f"--ssl-key={keys}") as other:
            yield other

    @contextlib.contextmanager
    def with_server(self, name: str, *options: str, sized: bool = True) -> Iterator[Self]:
        """The same broker, and another database; arguments are those of ``database_server``.

        Args:
            name: of its folder.
        """
        other = copy(self)
        folder = self.folder / f"database-{name}"
        with database_server(folder, *options, sized=sized) as other.server:
            yield other

    def topic(
        self,
        size: int,
        mix: Mix = sale,
        codec: str = CODEC,
        repeat: int = 0,
        partitions: int = DEFAULT_PARTITIONS,
    ) -> Topic:
        """A new topic of so many events, on disk: nothing of it is written any more later."""
        name = f"{mix.__name__}_{size}_{codec}_{uuid4().hex[:6]}"
        topic = fill(self.broker, name, size, mix, codec, repeat, partitions)
        os.sync()
        return topic

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """URL of a database with the app's schema and no rows, gone afterwards."""
        name = f"bench_{uuid4().hex[:8]}"
        url = self.server.create_database(name)
        engine = connect(make_url(url).set(drivername="mysql+pymysql"))
        try:
            migrate(engine)
            yield url
        finally:
            engine.dispose()
            self.server.drop_database(name)

    def database_settings(self) -> dict[str, str]:
        """The database's settings that decide how fast it is."""
        own = _MYSQL_VARIABLES if self.server.is_mysql else _MARIADB_VARIABLES
        names = (*DATABASE_VARIABLES, *own)
        [values] = self.server.execute(f"SELECT {', '.join(f'@@{name}' for name in names)}")
        return dict(zip(names, map(str, values), strict=True))
