"""What the job stored on one server: asked of Spark and its driver, case by case.

    JARS=/folder/of/connector DATABASE_URL=mysql://user:password@127.0.0.1:3306/empty \
        python -m tests.contract.ask_spark mysql

with pyspark and PyMySQL, Java 17, and an empty database on a server whose defaults are its own, but
for a time zone of UTC. It fills in ``mysql`` (or ``mariadb``) in ``stored_cases.jsonl``; a new case
is a line with ``case`` and ``value``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("BATCH", "1")

import pymysql
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from benchmarks.peers.python.spark_job import PROPERTIES, enrich, url

CASES = Path(__file__).with_name("stored_cases.jsonl")
#: As the job had it.
JDBC = (
    f"jdbc:mysql://{url.hostname}:{url.port}{url.path}"
    "?useSSL=false&allowPublicKeyRetrieval=true&serverTimezone=UTC"
)
TABLE = """\
CREATE TABLE flash_sale_events (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, event_id VARCHAR(50), user_id VARCHAR(50),
  product_id VARCHAR(50), category VARCHAR(50), event_type VARCHAR(20), price FLOAT, quantity INT,
  revenue FLOAT, ts TIMESTAMP NULL) CHARACTER SET utf8mb4"""
#: A FLOAT as it is: as itself it is shown with six digits.
ROWS = """\
SELECT event_id, user_id, product_id, category, event_type, price * 1e0 AS price, quantity,
  revenue * 1e0 AS revenue, CAST(ts AS CHAR) AS ts FROM flash_sale_events"""


def ask(spark: SparkSession, cursor: Any, value: str) -> dict[str, Any] | str:
    """The row, ``dropped`` by a rule, or ``refused`` by the driver or the server."""
    cursor.execute("TRUNCATE TABLE flash_sale_events")
    rows = enrich(spark.createDataFrame([(value,)], "value string")).where(
        f.col("event_id").isNotNull() & f.col("user_id").isNotNull() & f.col("category").isNotNull()
    )
    try:
        rows.write.jdbc(JDBC, "flash_sale_events", mode="append", properties=PROPERTIES)
    except Py4JJavaError as error:
        cause = error.java_exception.getCause()
        print("   ", cause.toString().splitlines()[0] if cause else error.java_exception.toString())
        return "refused"
    cursor.execute(ROWS)
    found: list[dict[str, Any]] = cursor.fetchall()
    return found[0] if found else "dropped"


def main(server: str) -> None:
    """Ask all cases."""
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]
    connection = pymysql.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.path[1:],
        autocommit=True,
        cursorclass=pymysql.cursors.DictCursor,
        init_command="SET time_zone = '+00:00'",
    )
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.jars", ",".join(map(str, Path(os.environ["JARS"]).glob("*.jar"))))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.extraJavaOptions", "-Duser.timezone=UTC")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS flash_sale_events")
        cursor.execute(TABLE)
        for case in cases:
            case[server] = ask(spark, cursor, case["value"])
            print(case["case"], case[server], flush=True)
    CASES.write_text("".join(f"{json.dumps(case)}\n" for case in cases))


if __name__ == "__main__":
    main(sys.argv[1])
