"""The accounts that the documentation recommends, with exactly its grants."""

import re

from dev import ROOT
from dev.servers.database.server import DatabaseServer, SecretURL

#: Who migrates, and who does all else.
OWNER, WORKER = "shop_migrate", "shop_worker"

_HOST = "127.0.0.1"


def grants(account: str) -> list[str]:
    """The document's GRANT statements for an account, on the database ``shop``."""
    document = (ROOT / "docs" / "database.md").read_text()
    found = re.findall(rf"^(GRANT [^;]* TO '{account}'@'%');$", document, re.MULTILINE)
    assert found, account
    return found


def make_accounts(server: DatabaseServer) -> None:
    """Create both accounts on a server, without rights."""
    for account in (OWNER, WORKER):
        server.execute(
            f"CREATE USER IF NOT EXISTS '{account}'@'{_HOST}' IDENTIFIED BY '{server.password()}'"
        )


def grant(server: DatabaseServer, account: str, database: str) -> SecretURL:
    """Grant an account the documented rights on a database; return its URL there.

    For the worker's rights the tables must exist.
    """
    for statement in grants(account):
        here = statement.replace(" ON shop.", f" ON `{database}`.").replace("@'%'", f"@'{_HOST}'")
        server.execute(here)
    return server.url(database, account)
