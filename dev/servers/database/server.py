"""A private database server, whatever its kind."""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Self

import pymysql

from dev import LOCAL
from dev.servers.database.installation import Installation
from dev.servers.processes import Process, Server, StartError, free_port

#: The account with all rights, and with that of granting them.
ADMIN = "flash_sale"


class SecretURL(str):
    """A URL whose ``repr`` masks the password: a failed test prints its fixtures."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"(//[^:/@]*:)[^@]*@", r"\1***@", self))


class DatabaseServer(Server):
    """A server whose data is in a folder and survives ``stop`` and ``kill``.

    Args:
        folder: its data, log and password; created if missing.
        installation: its program.
        port: TCP port on 127.0.0.1; None for a free one.
        charset: the server's default character set.
        time_zone: the server's default time zone, such as ``+05:30``.
        options: further options of the program.
    """

    stop_timeout = 60
    #: What its options are besides those of every server.
    own_options: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        installation: Installation,
        port: int | None = None,
        *,
        charset: str = "utf8mb4",
        time_zone: str = "SYSTEM",
        options: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.installation = installation
        self.port = port or free_port()
        self._options = (
            f"--character-set-server={charset}",
            f"--default-time-zone={time_zone}",
            *options,
        )

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @property
    def socket(self) -> Path:
        """Its socket, for users with access to the data folder."""
        return self.folder / "data" / "server.sock"

    @property
    def is_mysql(self) -> bool:
        """Whether it is MySQL, and not MariaDB."""
        return self.installation.version.startswith("MySQL")

    def url(self, database: str, user: str = ADMIN) -> SecretURL:
        """``mysql://user:password@127.0.0.1:port/database``; all accounts share the password."""
        return SecretURL(f"mysql://{user}:{self.password()}@127.0.0.1:{self.port}/{database}")

    def start(self) -> Self:
        """Start it on its port and wait until it answers; create its data the first time.

        Raises:
            StartError: it did not come up within 60 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        user = _server_user(self.folder)
        data = self.folder / "data"
        if not data.exists():
            self._make_data(data, user)
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        if user:
            shutil.chown(temporary, user)
        self._write_start_script(user)
        command: list[str | Path] = [
            *self.installation.command,
            f"--datadir={data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            # Relative to the data folder: the path of a socket may not be long.
            f"--socket={self.socket.name}",
            "--pid-file=server.pid",
            f"--init-file={self._start_script}",
            f"--tmpdir={temporary}",
            f"--user={user or _own_name()}",
            "--skip-name-resolve",
            "--skip-log-bin",
            # A commit is on disk before it is acknowledged, as on a real server.
            "--innodb-flush-log-at-trx-commit=1",
            "--max-allowed-packet=64M",
            "--max-connections=100",
            *self.own_options,
            *self._options,
        ]
        self._process = Process(command, self.log, user=user)
        try:
            self._process.wait_for(self._answers, 60, self.installation.version)
        except StartError:
            self.kill()
            raise
        return self

    def execute(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement with all rights; return its rows."""
        with (
            contextlib.closing(self._connect(database)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())

    def create_database(self, name: str) -> SecretURL:
        """Make an empty database, of the server's default character set; returns its URL."""
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def password(self) -> str:
        """The password of its accounts, from a private file."""
        file = self.folder / "password"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
        return file.read_text()

    @abstractmethod
    def _initialise(self, data: Path) -> None:
        """Make a new data folder.

        Raises:
            StartError: that failed; with its log.
        """

    def _make_data(self, data: Path, user: str | None) -> None:
        """Copy a fresh data folder: initialising one takes seconds, copying it does not."""
        template = LOCAL / f"data-{self.installation.version.lower().replace(' ', '-')}"
        if not template.exists():
            LOCAL.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
                self._initialise(Path(scratch) / "data")
                # Another run may have been quicker; one of them wins, and both are alike.
                with contextlib.suppress(OSError):
                    (Path(scratch) / "data").rename(template)
        copy = data.with_suffix(".new")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(template, copy)
        if user:
            for path in (copy, *copy.rglob("*")):
                shutil.chown(path, user)
        copy.rename(data)

    @property
    def _start_script(self) -> Path:
        return self.folder / "start.sql"

    def _write_start_script(self, user: str | None) -> None:
        script = self._start_script
        script.unlink(missing_ok=True)
        script.touch(mode=0o600)
        script.write_text(
            f"CREATE USER IF NOT EXISTS '{ADMIN}'@'127.0.0.1' IDENTIFIED BY '{self.password()}';\n"
            f"GRANT ALL ON *.* TO '{ADMIN}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        if user:
            shutil.chown(script, user)

    def _connect(self, database: str | None = None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=ADMIN,
            password=self.password(),
            database=database,
            charset="utf8mb4",
        )

    def _answers(self) -> bool:
        with contextlib.suppress(pymysql.Error), contextlib.closing(self._connect()):
            return True
        return False


def _server_user(folder: Path) -> str | None:
    """The server's user: not root if another user can access the folder."""
    if os.getuid() != 0:
        return None
    path = folder.resolve()
    if not all(part.stat().st_mode & 0o001 for part in (path, *path.parents)):
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("mysql").pw_name
    return "nobody"


def _own_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
