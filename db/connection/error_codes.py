"""Error codes of MySQL, MariaDB and what is in front of them, by what a write does with them.

Where two products use a code for different errors, both mean the same to a write. What is not here
is judged by what else fails (`pipeline.flush.search`), and so is 1105: Vitess and PlanetScale send
it with a reparent as well as with an error of a single statement. Sources: the references of MySQL
8.4 and MariaDB 11.8; `go/mysql/sqlerror` of Vitess; the enum `PROXYSQL_MYSQL_ERR` of
ProxySQL; https://docs.pingcap.com/tidb/stable/error-codes of TiDB; MaxScale's readwritesplit sends
1927 and 1290. Aurora and RDS send MySQL's own.

`docs/database.md#errors` is made from this.
"""

from pipeline.errors import TOO_LARGE

#: A value of the row does not fit, be it in a column, a CHECK, a generated column, an index or a
#: trigger; each undoes its statement alone. A row is given up only where a statement of it alone
#: fails.
ROW = {
    1022: "duplicate key",
    1048: "column cannot be null",
    1062: "duplicate entry",
    1118: "row too large for a page",
    1216: "foreign key fails",
    1264: "out of range",
    1265: "data truncated",
    1292: "incorrect datetime or number",
    1300: "invalid character string in an expression",
    1364: "no default value",
    1365: "division by zero in an expression",
    1366: "incorrect string or number",
    1367: "a number that the server cannot take",
    1369: "CHECK OPTION of a view",
    1406: "data too long",
    1411: "value of a wrong type for a function",
    1441: "datetime out of range in an expression",
    1452: "foreign key fails",
    1526: "no partition for the value",
    1586: "duplicate entry, with the key's name",
    1644: "a trigger's SIGNAL",
    1690: "out of range in an expression",
    1748: "no partition for the value, of those named",
    3140: "invalid JSON text",
    3156: "invalid JSON value for a CAST",
    3751: "data truncated for a functional index",
    3752: "out of range for a functional index",
    3819: "CHECK violated (MySQL)",
    3903: "invalid JSON value for a functional index",
    3904: "JSON value out of range for a functional index",
    3907: "data too long for a functional index",
    4025: "CHECK violated (MariaDB)",
}

#: The same write is retried for ever. By kind, as `etl_retries_total` counts them.
PASSING: dict[str, dict[int, str]] = {
    "connection": {
        0: "connection closed",
        1042: "no hostname for the address",
        1043: "bad handshake",
        1053: "server shutdown",
        1077: "normal shutdown",
        1079: "shutdown complete",
        1080: "forced close of a thread",
        1152: "aborted connection",
        1154: "read error from a pipe",
        1155: "error from fcntl",
        1156: "packets out of order",
        1157: "packet cannot be decompressed",
        1158: "read error",
        1159: "read time-out",
        1160: "write error",
        1161: "write time-out",
        1184: "aborted connection",
        1189: "read error from a primary",
        1190: "write error to a primary",
        1835: "malformed packet",
        1927: "connection killed (MariaDB, MaxScale)",
        2002: "no connection through a socket",
        2003: "no connection",
        2005: "unknown host",
        2006: "server has gone away",
        2012: "handshake failed",
        2013: "connection lost",
        2027: "malformed packet",
        2055: "connection lost",
        3169: "session killed",
        4031: "closed for inactivity",
    },
    "deadlock": {
        1020: "record changed since it was read (MariaDB)",
        1213: "deadlock, lost certification (Galera)",
        1412: "table definition changed",
        1467: "no id for a row, while another load waits for this one",
        1613: "branch rolled back, it took too long",
        1614: "branch rolled back, deadlock",
        1615: "prepared statement needs preparing again",
        8002: "write conflict (TiDB)",
        8005: "write conflict (TiDB)",
        8022: "commit failed and was rolled back (TiDB)",
        8028: "table definition changed (TiDB)",
    },
    "lock_wait": {
        1192: "locked tables or a transaction",
        1205: "lock wait time-out",
        1223: "global read lock",
        1689: "lock aborted by an exclusive one",
        3572: "lock not available at once",
        8020: "table locked (TiDB)",
        8229: "transaction lived too long (TiDB)",
    },
    "too_many_connections": {
        1040: "too many connections",
        1203: "max_user_connections, resources exhausted (Vitess)",
    },
    "limit": {
        1226: "the account's limit: updates, queries or connections an hour",
        1461: "too many prepared statements",
    },
    "read_only": {
        1036: "table is read only",
        1290: "--read-only, also MaxScale without a primary",
        1792: "read only transaction",
        1836: "read only mode",
        1874: "InnoDB is read only (also Aurora's readers)",
    },
    "resources": {
        1014: "cannot get the working directory",
        1021: "disk full",
        1023: "error on close",
        1026: "error writing a file",
        1030: "error of the storage engine",
        1034: "incorrect key file, as on a full disk",
        1035: "old key file",
        1037: "out of memory",
        1038: "out of sort memory",
        1041: "out of memory, transaction throttled (Vitess)",
        1114: "table full",
        1135: "no thread can be made",
        1194: "table crashed",
        1195: "table crashed",
        1436: "thread stack overrun",
        1534: "row-based binary log failed",
        1637: "too many transactions",
        1712: "index corrupted",
        1878: "temporary file write failed",
        3170: "memory for range optimisation",
    },
    "cluster": {
        1047: "node not ready (Galera), no such session (Vitess)",
        1218: "error connecting to a primary",
        1297: "temporary error of a storage engine",
        1429: "no connection to another server",
        1430: "problem on another server",
        3032: "offline mode",
        3101: "rolled back by a plugin (group replication)",
        3168: "server not available (also Vitess)",
        8027: "schema out of date (TiDB)",
        8120: "no start time (TiDB)",
        9001: "no backend in time (ProxySQL), PD time-out (TiDB)",
        9002: "backend connections fail (ProxySQL), TiKV time-out (TiDB)",
        9003: "TiKV busy (TiDB)",
        9004: "backend offline (ProxySQL), lock time-out (TiDB)",
        9005: "backend lags (ProxySQL), region unavailable (TiDB)",
        9006: "backend ping time-out (ProxySQL), GC too early (TiDB)",
        9007: "change of user time-out (ProxySQL), write conflict (TiDB)",
        9008: "backend unhealthy (ProxySQL), store limit (TiDB)",
        9009: "backend unhealthy (ProxySQL)",
        9010: "read-only check time-out (ProxySQL), stale command (TiDB)",
        9011: "read-only check time-out (ProxySQL), time not synchronised (TiDB)",
        9012: "read-only checks missed (ProxySQL), TiFlash time-out (TiDB)",
        9013: "backend unhealthy (ProxySQL), TiFlash busy (TiDB)",
    },
    "interrupted": {
        1028: "sort aborted",
        1317: "query interrupted, deadline or failover (Vitess)",
        1969: "max_statement_time (MariaDB)",
        3024: "maximum execution time",
    },
}

#: The write as a whole is too large: it is halved at once, and later writes are smaller.
LARGE = {
    1153: "max_allowed_packet, message too large (Vitess)",
    1197: "the binary log's cache",
    1206: "the lock table",
    1705: "the binary log's statement cache",
    3100: "a plugin's hook, mostly for the size of a transaction",
    3231: "a group's limit for a transaction",
    8001: "memory quota of a statement (TiDB)",
    8004: "transaction too large (TiDB)",
    8025: "entry too large (TiDB)",
    8175: "memory quota of a statement (TiDB)",
    8252: "quota of a resource group (TiDB)",
}

#: The login is refused: fatal at the start. A running worker retries, because credentials are
#: rotated, accounts unlocked and proxies' lists of users reloaded under it.
LOGIN = {
    1044: "may not use the database",
    1045: "login refused, permission denied (Vitess)",
    1049: "unknown database",
    1129: "host blocked after many errors",
    1130: "host not allowed",
    1251: "authentication not supported",
    1524: "authentication plugin not loaded",
    1698: "login refused",
    1820: "password must be set",
    1862: "password expired",
    3118: "account locked (MySQL)",
    3159: "TLS required",
    3955: "account blocked after failed logins (MySQL)",
    4150: "account blocked after failed logins (MariaDB)",
    4151: "account locked (MariaDB)",
}

#: A person must change something.
FATAL = {
    1054: "column missing",
    1142: "right on a table missing",
    1143: "right on a column missing",
    1146: "table missing",
    1227: "administrative right missing",
    1242: "statement in another session",
    1370: "right on a routine missing",
    1449: "definer gone",
    1471: "table not insertable",
    1598: "binary log impossible",
    1665: "binary log impossible",
    1906: "value for a generated column (MariaDB)",
    3105: "value for a generated column (MySQL)",
}

#: Known to be sent by an outage as well as for a single statement: judged like an unknown code.
JUDGED = {
    1064: "syntax, as a proxy may see it",
    1105: "unknown error, also reparents and failovers (Vitess, PlanetScale)",
    1180: "error during COMMIT",
    1181: "error during ROLLBACK",
    1196: "changes could not be rolled back",
    1235: "not supported (also Vitess)",
    1296: "error of a storage engine",
    1713: "undo log record too large",
    1815: "internal error (also Vitess)",
}

#: What to do about a kind of error, where it lasts.
HINTS = {
    "connection": "wait until it has started, or look at the proxy in between",
    "deadlock": "try again",
    "lock_wait": "see who holds the lock",
    "too_many_connections": "close other connections, or raise the limit",
    "limit": "raise the limit, or wait until the hour is over",
    "read_only": "let DATABASE_URL name the primary",
    "resources": "look at the server's disk and memory",
    "cluster": "look at the cluster or the proxy",
    "interrupted": "raise the limit for a statement",
    TOO_LARGE: "raise the limit",
    "other": "look for it in the server's error reference",
}


def table() -> str:
    """What `docs/database.md` says of them: a server names its errors itself."""
    rows = [
        ("rejected row", ROW, _ROW_MEANS),
        *((kind.replace("_", " "), codes, "") for kind, codes in PASSING.items()),
        ("too large", LARGE, _LARGE_MEANS),
        ("login refused", LOGIN, _LOGIN_MEANS),
        ("needs a change", FATAL, "exits and says what to change"),
        ("ambiguous", JUDGED, "like every other code: see below"),
    ]
    means = "retries without limit, with backoff"
    lines = (
        f"| {name} | {', '.join(map(str, codes))} | {what or means} |\n"
        for name, codes, what in rows
    )
    return "| class | codes | the worker |\n|---|---|---|\n" + "".join(lines)


_ROW_MEANS = (
    "makes the row a dead letter, once it was rejected alone or the server has proved that it left "
    "out just this row; the rest of the batch is stored"
)
_LARGE_MEANS = "halves the batch at once; later writes are smaller"
_LOGIN_MEANS = "exits at startup; a running one retries without limit"
