"""A private MySQL 8, where set-up could fetch one."""

import shutil
from pathlib import Path

from dev import LOCAL
from dev.mariadb import MariaDB
from dev.processes import Process, StartError

HOME = LOCAL / "mysql"


class MySQL(MariaDB):
    """MySQL 8 behind the same face; its accounts log in by caching_sha2_password."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, options=(*_PLACES, "--mysqlx=0", *options))

    @staticmethod
    def missing() -> bool:
        """Whether there is none here that runs."""
        return not (HOME / "bin" / "mysqld").exists()

    def _program(self) -> Path:
        return HOME / "bin" / "mysqld"

    def _make_data(self, data: Path, user: str | None) -> None:
        temporary = self.folder / "temporary"
        for folder in (data, temporary):
            folder.mkdir()
            if user:
                shutil.chown(folder, user)
        places = (*_PLACES, f"--datadir={data}", f"--tmpdir={temporary}")
        command: list[str | Path] = [
            self._program(),
            "--no-defaults",
            "--initialize-insecure",
            *places,
        ]
        process = Process(command, self.log, user=user)
        if process.wait(60):
            raise StartError(f"MySQL's data folder could not be made:\n{process.log_text()}")


_PLACES = (f"--basedir={HOME}", f"--lc-messages-dir={HOME / 'share'}")
