"""Which right an account lacks, from the messages of MySQL and MariaDB.

MariaDB names database and table, MySQL only the table. Both name the client's host, which may
differ from the account's; `docs/database.md` creates accounts for every host.
"""

import re

#: 1142 and 1143. The column is named if the account has the right on some columns only.
_ON_TABLE = re.compile(
    r"(?P<right>.+?) command denied to user '(?P<user>.*)'@'.*' for "
    r"(?:column '.*' in )?table (?P<table>\S+)$"
)
_ON_ROUTINE = re.compile(r"command denied to user '(?P<user>.*)'@'.*' for routine '(?P<name>.*)'$")
#: 1227
_ADMINISTRATIVE = re.compile(r"you need \(at least one of\) the (?P<rights>.+) privilege")
#: MySQL's words for `SELECT … FOR UPDATE`, which needs one of several rights besides SELECT.
_LOCKING = "SELECT with locking clause"


def missing_right(message: str) -> str:
    """What is missing, and the statement that grants it."""
    if found := _ON_TABLE.search(message):
        right, user = found["right"], found["user"]
        name = found["table"].translate(str.maketrans("", "", "`'"))
        table = name.rpartition(".")[2]
        if right == _LOCKING:
            return (
                f"the account lacks a right to lock rows of {table}: grant UPDATE on it, or LOCK "
                "TABLES on its database"
            )
        return f"the account lacks {right} on {table}: `GRANT {right} ON {name} TO '{user}'@'%'`"
    if found := _ON_ROUTINE.search(message):
        return f"the account lacks EXECUTE on {found['name']}: grant it to '{found['user']}'"
    if found := _ADMINISTRATIVE.search(message):
        rights = found["rights"]
        return f"the account lacks an administrative right ({rights}): grant one of these"
    return "the account lacks a right: grant those in docs/database.md#accounts"
