"""A private MariaDB: own data, own port on 127.0.0.1, never the system's server or its data."""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pymysql

from dev import LOCAL
from dev.processes import Process, Server, StartError, free_port

USER = "flash_sale"


class SecretURL(str):
    """A URL whose ``repr`` masks the password: a failed test prints its fixtures."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"(//[^:/@]*:)[^@]*@", r"\1***@", self))


class MariaDB(Server):
    """A MariaDB server whose data lies in a folder and outlives ``stop`` and ``kill``.

    Args:
        folder: its data, log and password; made when missing.
        port: TCP port on 127.0.0.1; None for a free one.
        charset: the server's default character set.
        time_zone: the server's default time zone, such as ``+05:30``.
        options: further options of mariadbd.
    """

    stop_timeout = 60

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        charset: str = "utf8mb4",
        time_zone: str = "SYSTEM",
        options: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._options = (
            f"--character-set-server={charset}",
            f"--default-time-zone={time_zone}",
            *options,
        )

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "mariadbd.log"

    def url(self, database: str) -> SecretURL:
        """``mysql://user:password@127.0.0.1:port/database``."""
        return SecretURL(f"mysql://{USER}:{self._password()}@127.0.0.1:{self.port}/{database}")

    def start(self) -> Self:
        """Start it on its port and wait until it answers; the first time make its data.

        Raises:
            StartError: MariaDB is not installed, or did not come up within 60 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        user = _server_user(self.folder)
        data = self.folder / "data"
        if not data.exists():
            self._make_data(data, user)
        self._write_start_script(user)
        command: list[str | Path] = [
            self._program(),
            "--no-defaults",
            f"--datadir={data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            # Relative to the data folder: the path of a socket may not be long.
            "--socket=mariadb.sock",
            "--pid-file=mariadb.pid",
            f"--init-file={self._start_script}",
            f"--tmpdir={data}",
            f"--user={user or _own_name()}",
            "--skip-name-resolve",
            "--skip-log-bin",
            # A commit is on disk before it is acknowledged, as on a real server.
            "--innodb-flush-log-at-trx-commit=1",
            "--max-allowed-packet=64M",
            "--max-connections=100",
            *self._options,
        ]
        self._process = Process(command, self.log, user=user)
        try:
            self._process.wait_for(self._answers, 60, "MariaDB")
        except StartError:
            self.kill()
            raise
        return self

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement with all rights, without a default database; return its rows."""
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())

    def create_database(self, name: str) -> SecretURL:
        """Make an empty database, of the server's default character set; returns its URL."""
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with all it holds."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _program(self) -> Path:
        return find_server()

    def _make_data(self, data: Path, user: str | None) -> None:
        _make_data(data, user)

    @property
    def _start_script(self) -> Path:
        return self.folder / "start.sql"

    def _write_start_script(self, user: str | None) -> None:
        script = self._start_script
        script.unlink(missing_ok=True)
        script.touch(mode=0o600)
        script.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{self._password()}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        if user:
            shutil.chown(script, user)

    def _password(self) -> str:
        file = self.folder / "password"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
        return file.read_text()

    def _connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self._password()
        )

    def _answers(self) -> bool:
        with contextlib.suppress(pymysql.Error), contextlib.closing(self._connect()):
            return True
        return False


def find_server() -> Path:
    """The mariadbd program: variable ``MARIADBD``, else the one that is installed.

    Raises:
        StartError: there is none.
    """
    named = os.environ.get("MARIADBD")
    found = named or shutil.which("mariadbd", path=f"{os.defpath}:/usr/sbin:{os.environ['PATH']}")
    if not found or not Path(found).exists():
        raise StartError(
            "MariaDB is missing: install the package mariadb-server, or set MARIADBD=/path/mariadbd"
        )
    return Path(found)


def version() -> str:
    """Version of the installed MariaDB, such as ``10.11.6-MariaDB``."""
    output = subprocess.run(
        [find_server(), "--no-defaults", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return output.split("Ver ")[-1].split()[0].split("-0+")[0]


def _make_data(data: Path, user: str | None) -> None:
    """Copy a fresh data folder: initialising one takes seconds, copying it does not."""
    template = LOCAL / f"mariadb-{version()}"
    if not template.exists():
        LOCAL.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
            _initialise(Path(scratch) / "data")
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


def _initialise(data: Path) -> None:
    program = find_server()
    folders = [program.parent / "../bin", program.parent / "../scripts", program.parent]
    path = os.pathsep.join([os.environ["PATH"], *map(str, folders)])
    installer = shutil.which("mariadb-install-db", path=path)
    if not installer:
        raise StartError("mariadb-install-db is missing: install the package mariadb-server")
    result = subprocess.run(
        [
            installer,
            "--no-defaults",
            f"--datadir={data}",
            f"--user={_own_name()}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        ],
        # At its start a server removes temporary tables from its folder, also those of another
        # one that is being made at the same time.
        env={**os.environ, "TMPDIR": str(data.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise StartError(f"mariadb-install-db failed:\n{result.stdout}{result.stderr}")


def _server_user(folder: Path) -> str | None:
    """Whom the server runs as: not root where another user can reach the folder."""
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
