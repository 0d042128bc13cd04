"""A private MariaDB."""

import subprocess
from pathlib import Path

from dev.servers.database.server import DatabaseServer, _own_name
from dev.servers.processes import StartError

#: What `mariadb-install-db` runs, in that order; the names are those of MariaDB 10.11 and 11.8.
_SCRIPTS = (
    ("mariadb_system_tables.sql", "mysql_system_tables.sql"),
    ("mariadb_performance_tables.sql", "mysql_performance_tables.sql"),
    ("mariadb_system_tables_data.sql", "mysql_system_tables_data.sql"),
)


class MariaDB(DatabaseServer):
    """MariaDB 10.6 or newer."""

    def _initialise(self, data: Path) -> None:
        data.mkdir(parents=True)
        script = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = 'root';\n"
        for names in _SCRIPTS:
            files = [self.installation.share / name for name in names]
            script += next(file for file in files if file.exists()).read_text()
        result = subprocess.run(
            [
                *self.installation.command,
                "--bootstrap",
                f"--datadir={data}",
                # At its start a server removes temporary tables from its folder, also those of
                # another one that is being made at the same time.
                f"--tmpdir={data.parent}",
                f"--user={_own_name()}",
                "--innodb-log-file-size=16M",
            ],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StartError(
                f"MariaDB's data folder could not be made:\n{result.stdout}{result.stderr}"
            )
