"""``python -m dev`` says which broker and database the tests use."""

import sys

from dev.broker import choose
from dev.mariadb import version
from dev.processes import StartError


def main() -> int:
    """Print a line for each; returns the exit status."""
    try:
        print(choose()[1])
        print(f"Database: a private MariaDB {version()}.", flush=True)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
