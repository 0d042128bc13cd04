"""Where a database server's program is, and how it is run."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dev import LOCAL
from dev.servers.processes import StartError


@dataclass(frozen=True)
class Installation:
    """A server's files.

    Args:
        program: ``mariadbd`` or ``mysqld``.
        home: the folder that its packages were unpacked into; None for an installed one.
    """

    program: Path
    home: Path | None = None

    @property
    def command(self) -> list[str | Path]:
        """The program, with options for the paths of its files; ``--no-defaults`` first."""
        if self.home is None:
            return [self.program, "--no-defaults"]
        if self.program.parent.name == "bin":
            places = {"basedir": self.home, "lc-messages-dir": self.home / "share"}
            return [self.program, "--no-defaults", *_options(places)]
        return [*self._loader, self.program, "--no-defaults", *_options(self._places)]

    @cached_property
    def version(self) -> str:
        """Such as ``MariaDB 10.11.6`` or ``MySQL 9.7.4``."""
        command = [*self.command[: self.command.index("--no-defaults") + 1], "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        number = said.split("Ver ")[-1].split()[0].split("-")[0]
        return f"{'MariaDB' if 'MariaDB' in said else 'MySQL'} {number}"

    @property
    def share(self) -> Path:
        """Where its SQL scripts are."""
        home = self.program.parent.parent if self.home is None else self.home / "usr"
        folders = [home / "share" / name for name in ("mysql", "mariadb")]
        return next((one for one in folders if list(one.glob("*.sql"))), folders[0])

    @property
    def _libraries(self) -> Path:
        assert self.home is not None
        return next((self.home / "usr/lib").glob("*-linux-gnu"))

    @property
    def _loader(self) -> Sequence[str | Path]:
        # With the C library of its own release, whatever this machine's is.
        loader = next(self._libraries.glob("ld-linux-*.so.*"))
        folders = (self._libraries, self._libraries / "mysql", self._libraries.parent / "mysql")
        return [loader, "--library-path", os.pathsep.join(map(str, folders))]

    @property
    def _places(self) -> dict[str, Path]:
        assert self.home is not None
        plugins = self.home / "usr/lib/mysql/plugin"
        return {
            "basedir": self.home / "usr",
            "lc-messages-dir": next(self.share.parent.glob("m*/english")).parent,
            "plugin-dir": plugins,
            "character-sets-dir": next(self.share.parent.glob("m*/charsets")),
        }


def _options(places: dict[str, Path]) -> list[str]:
    return [f"--{name}={path}" for name, path in places.items()]


def installed_mariadb() -> Installation:
    """The MariaDB that the variable ``MARIADBD`` names, else the one that is installed.

    Raises:
        StartError: there is none.
    """
    named = os.environ.get("MARIADBD")
    found = named or shutil.which("mariadbd", path=f"{os.defpath}:/usr/sbin:{os.environ['PATH']}")
    if not found or not Path(found).exists():
        raise StartError(
            "MariaDB is missing: install the package mariadb-server, or set MARIADBD=/path/mariadbd"
        )
    return Installation(Path(found))


def fetched(name: str, program: str) -> Installation:
    """A server whose packages ``dev/setup/fetch_server.sh`` has unpacked.

    Raises:
        StartError: it was not fetched.
    """
    home = LOCAL / "servers" / name
    if not (home / program).exists():
        why = LOCAL / "servers" / f"{name}.log"
        raise StartError(
            f"{name} could not be fetched (see {why})"
            if why.exists()
            else f"{name} is not here: run `dev/setup/fetch_server.sh {name}`"
        )
    return Installation(home / program, home)
