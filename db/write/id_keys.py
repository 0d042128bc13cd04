"""Duplicate entries that no row is to blame for: those of the id, which the server gives itself.

With `innodb_autoinc_lock_mode = 2`, MySQL's default, a load takes its ids in ranges, between
which other writers take theirs. If a row is refused where a range ends, the server gives the next
row an id that follows the range before, and so one that another writer has; and that same id to all
rows behind it (*seen* on MySQL 9.7).
"""

import re

from db.write.transaction import Transaction

_KEY = re.compile(r"^Duplicate entry '.*' for key '(?:[^']*\.)?([^']+)'$", re.DOTALL)

_KEYS = (
    "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_NAME = '{table}' AND COLUMN_NAME = 'id' AND NON_UNIQUE = 0"
)


def blames_id(transaction: Transaction, message: str) -> bool:
    """Whether what the database says of a refused row is about its id.

    Args:
        transaction: of the write.
        message: the server's.

    Raises:
        pymysql.err.MySQLError: the server is gone.
    """
    found = _KEY.match(message)
    if not found:
        return False
    info = transaction.connection.info
    if "id_keys" not in info:
        names = transaction.query(_KEYS.format(table=transaction.stream.table))
        info["id_keys"] = {name for (name,) in names}
    return found[1] in info["id_keys"]
