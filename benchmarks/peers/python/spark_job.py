"""The job that is replaced: Structured Streaming, counts, and an append over JDBC.

``REWRITE=1`` adds the driver's rewriteBatchedStatements, which the job did not have.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import FloatType, IntegerType, StringType, StructField, StructType

#: Events of a batch: what a backlog is cut into; a batch takes longer than the trigger's 5 s.
BATCH = int(os.environ["BATCH"])
SCHEMA = StructType(
    [
        *(
            StructField(name, StringType())
            for name in ("event_id", "user_id", "product_id", "category", "event_type")
        ),
        StructField("price", FloatType()),
        StructField("quantity", IntegerType()),
        StructField("timestamp", StringType()),
    ]
)

url = urlsplit(os.environ["DATABASE_URL"])
JDBC = f"jdbc:mysql://{url.hostname}:{url.port}{url.path}?connectionTimeZone=UTC"
PROPERTIES = {
    "user": url.username or "",
    "password": url.password or "",
    "driver": "com.mysql.cj.jdbc.Driver",
}
if os.environ.get("REWRITE"):
    PROPERTIES["rewriteBatchedStatements"] = "true"


def enrich(values: DataFrame) -> DataFrame:
    """Parse, fill and price."""
    product = f.col("product_id")
    return (
        values.select(f.from_json(f.col("value").cast("string"), SCHEMA).alias("event"))
        .select("event.*")
        .withColumn("user_id", f.coalesce(f.col("user_id"), f.concat(f.lit("guest_"), product)))
        .withColumn(
            "category",
            f.coalesce(f.col("category"), f.concat(f.lit("category_"), f.substring(product, 1, 2))),
        )
        .withColumn("quantity", f.coalesce(f.col("quantity"), f.lit(1)))
        .withColumn("price", f.coalesce(f.col("price"), f.lit(0.0).cast("float")))
        .withColumn("revenue", f.col("price") * f.col("quantity"))
        .withColumn("ts", f.to_timestamp(f.col("timestamp")))
        .drop("timestamp")
    )


def write(batch: DataFrame, number: int) -> None:
    """Count, count, count and append: each of the four reads the batch again."""
    if batch.count() == 0:
        return
    valid = (
        f.col("event_id").isNotNull() & f.col("user_id").isNotNull() & f.col("category").isNotNull()
    )
    rows = batch.filter(valid)
    print(
        f"Batch {number}: {rows.count()} valid rows, {batch.filter(~valid).count()} dropped",
        flush=True,
    )
    rows.write.jdbc(JDBC, "flash_sale_events", mode="append", properties=PROPERTIES)


def main() -> None:
    """Run until killed."""
    jars = ",".join(map(str, Path(os.environ["JARS"]).glob("*.jar")))
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.jars", jars)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.extraJavaOptions", "-Duser.timezone=UTC")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    (
        enrich(
            spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", os.environ["KAFKA"])
            .option("subscribe", os.environ["TOPIC"])
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", BATCH)
            .load()
        )
        .writeStream.foreachBatch(write)
        .trigger(processingTime="5 seconds")
        .option("checkpointLocation", os.environ["SCRATCH"] + "/checkpoint")
        .start()
        .awaitTermination()
    )


if __name__ == "__main__":
    main()
