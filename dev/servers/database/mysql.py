"""A private MySQL."""

import subprocess
from pathlib import Path

from dev.servers.database.server import DatabaseServer, _own_name
from dev.servers.processes import StartError


class MySQL(DatabaseServer):
    """MySQL 8 or newer; its accounts log in by caching_sha2_password."""

    own_options = ("--mysqlx=0", "--secure-file-priv=NULL")

    def _initialise(self, data: Path) -> None:
        result = subprocess.run(
            [
                *self.installation.command,
                "--initialize-insecure",
                f"--datadir={data}",
                f"--tmpdir={data.parent}",
                f"--user={_own_name()}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StartError(
                f"MySQL's data folder could not be made:\n{result.stdout}{result.stderr}"
            )
