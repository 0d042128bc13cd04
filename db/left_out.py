"""One insert that leaves refused rows out, where MariaDB proves which ones those were.

``INSERT IGNORE`` continues after a row that breaks a CHECK or a unique or foreign key, at no cost.
But it also stores values that it had to change, and says so in warnings only. So what it did is
undone unless each warning names another row, is of a kind that left the row out, and there are as
many of them as rows missing. A trigger makes the numbers of rows mean something else, and may have
done something for a row that was left out: where one ran, it is undone as well.

All of it is one statement, so one round trip, and in one session. The fence comes first: under
``IGNORE`` its error would only be a warning.
"""

import json
from typing import Any

from sqlalchemy import Connection

from db.engine import is_mariadb
from db.fence import fenced_sql
from db.rows import into, values
from pipeline.stream import Stream

#: From this version on MariaDB knows which row a condition is about.
_ROW_NUMBERS = (10, 7)

#: Kinds of conditions whose row is not stored: duplicate entry, foreign key, no partition, CHECK.
_LEFT_OUT = (1062, 1452, 1526, 4025)

#: Whether a trigger has run in this session; true where the server does not say.
TRIGGERS_RAN = """\
COALESCE((
    SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS
    WHERE VARIABLE_NAME = 'EXECUTED_TRIGGERS'), 1) <> 0"""

#: Variables of a compound statement, and what sets them to what the last statement said of rows:
#: ``found`` has row, code and message of each condition, as JSON lines; ``others`` counts those of
#: another kind.
DECLARE_CONDITIONS = """\
  DECLARE conditions, others, place, refused, code INT DEFAULT 0;
  DECLARE message TEXT CHARACTER SET utf8mb4;
  DECLARE found LONGTEXT CHARACTER SET utf8mb4 DEFAULT '';"""
READ_CONDITIONS = f"""\
  GET DIAGNOSTICS conditions = NUMBER;
  WHILE place < conditions DO
    SET place = place + 1;
    GET DIAGNOSTICS CONDITION place
      refused = ROW_NUMBER, code = MYSQL_ERRNO, message = MESSAGE_TEXT;
    IF code NOT IN {_LEFT_OUT} THEN SET others = others + 1; END IF;
    SET found = CONCAT(found, JSON_ARRAY(refused, code, message), CHAR(10));
  END WHILE;"""

_STATEMENT = f"""\
BEGIN NOT ATOMIC
  DECLARE stored INT DEFAULT 0;
{DECLARE_CONDITIONS}
  SET place = {{fence}};
  SAVEPOINT before_statement;
  INSERT IGNORE INTO {{into}} VALUES {{values}};
  SET stored = ROW_COUNT();
{READ_CONDITIONS}
  IF conditions > 0 AND (others > 0 OR stored + conditions <> {{rows}} OR {TRIGGERS_RAN})
  THEN
    ROLLBACK TO SAVEPOINT before_statement;
    SET found = NULL;
  END IF;
  SELECT found;
END"""  # noqa: S608 - names of our own


def can_name_rows(connection: Connection) -> bool:
    """Whether the server can say which row of a statement it refused."""
    version = connection.dialect.server_version_info or ()
    return is_mariadb(connection) and version >= _ROW_NUMBERS


def insert_but_refused(
    cursor: Any, stream: Stream, rows: bytes, session: int
) -> dict[int, str] | None:
    """Insert lines of a chunk, but those the database refuses.

    Args:
        cursor: the driver's, in the transaction of the write, on a server that can name rows.
        stream: whose rows.
        rows: the lines.
        session: of that transaction; in any other one nothing is inserted.

    Returns:
        What the database says of its refused rows, by the row's index; None where it has not
        proved which ones they are, and nothing is inserted.

    Raises:
        pymysql.err.MySQLError: the server refused the statement.
    """
    count = rows.count(b"\n") + 1
    cursor.execute(
        _STATEMENT.format(
            fence=fenced_sql(session, "0"), into=into(stream), values=values(rows), rows=count
        )
    )
    [found] = cursor.fetchone()
    if found is None:
        return None
    named = conditions(found)
    refused = {row: message for row, _, message in named}
    if len(refused) == len(named) and all(0 <= row < count for row in refused):
        return refused
    undo(cursor)
    return None


def conditions(found: str) -> list[tuple[int, int, str]]:
    """What ``READ_CONDITIONS`` found: the row's index as the server counts, code and message."""
    lines = map(json.loads, found.split("\n")[:-1])
    return [(int(number) - 1, int(code), message) for number, code, message in lines]


def undo(cursor: Any) -> None:
    """Undo what a statement stored that failed."""
    cursor.execute("ROLLBACK TO SAVEPOINT before_statement")
