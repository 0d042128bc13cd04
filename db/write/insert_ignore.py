"""Rows by ``INSERT IGNORE``: the statement continues after a row that the database refuses.

It also stores values that it had to change. So what it did counts only where `db.write.proof`
proves it.
"""

from db.connection.session import LENIENT_FAILURE
from db.write.insert_values import fenced_values, into
from db.write.transaction import Transaction


def send(transaction: Transaction, lines: bytes) -> None:
    """Store lines, in this session only.

    Raises:
        pymysql.err.MySQLError: the server refused the statement.
    """
    rows = fenced_values(lines, transaction.session, failure=LENIENT_FAILURE)
    transaction.execute(f"INSERT IGNORE INTO {into(transaction.stream)} VALUES {rows}")  # noqa: S608
