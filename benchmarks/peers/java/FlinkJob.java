package peers;

import java.net.URI;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;

/** Flink SQL from Kafka to JDBC, in a cluster within this process. */
public class FlinkJob {
    /** With that option a value of another type is NULL; without it the job fails. */
    private static final String EVENTS =
            """
            CREATE TABLE events (
                event_id STRING, user_id STRING, product_id STRING, category STRING,
                event_type STRING, price DOUBLE, quantity INT, `timestamp` STRING
            ) WITH (
                'connector' = 'kafka',
                'topic' = '%s',
                'properties.bootstrap.servers' = '%s',
                'properties.group.id' = '%s',
                'scan.startup.mode' = 'group-offsets',
                'properties.auto.offset.reset' = 'earliest',
                'format' = 'json',
                'json.ignore-parse-errors' = 'true'
            )""";

    /** The driver's option makes one statement of many rows; the sink is flushed by checkpoints, too. */
    private static final String ROWS =
            """
            CREATE TABLE flash_sale_events (
                event_id STRING, user_id STRING, product_id STRING, category STRING,
                event_type STRING, price DOUBLE, quantity INT, revenue DOUBLE, ts STRING
            ) WITH (
                'connector' = 'jdbc',
                'url' = 'jdbc:mysql://%s:%d%s?rewriteBatchedStatements=true&connectionTimeZone=UTC&forceConnectionTimeZoneToSession=true',
                'driver' = 'com.mysql.cj.jdbc.Driver',
                'username' = '%s',
                'password' = '%s',
                'table-name' = 'flash_sale_events',
                'sink.buffer-flush.max-rows' = '5000',
                'sink.buffer-flush.interval' = '1s'
            )""";

    private static final String JOB =
            """
            INSERT INTO flash_sale_events
            SELECT event_id, user_id, product_id, category, event_type, price, quantity,
                price * quantity, to_utc(`timestamp`)
            FROM (
                SELECT event_id, product_id, event_type, `timestamp`,
                    COALESCE(user_id, 'guest_' || product_id) AS user_id,
                    COALESCE(category, 'category_' || SUBSTRING(product_id, 1, 2)) AS category,
                    COALESCE(price, 0) AS price,
                    COALESCE(quantity, 1) AS quantity
                FROM events
            )
            WHERE event_id IS NOT NULL AND user_id IS NOT NULL AND category IS NOT NULL""";

    /** SQL's own functions read no offsets. */
    public static class ToUtc extends ScalarFunction {
        public String eval(String timestamp) {
            return Rules.toUtc(timestamp);
        }
    }

    /** Run until killed. */
    public static void main(String[] arguments) throws Exception {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", "2");
        settings.setString("execution.checkpointing.interval", "5 s");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("rest.bind-address", "127.0.0.1");
        TableEnvironment tables =
                TableEnvironment.create(
                        EnvironmentSettings.newInstance().withConfiguration(settings).build());
        tables.createTemporarySystemFunction("to_utc", ToUtc.class);
        URI database = URI.create(System.getenv("DATABASE_URL"));
        String[] login = database.getUserInfo().split(":", 2);
        tables.executeSql(
                EVENTS.formatted(
                        System.getenv("TOPIC"),
                        System.getenv("KAFKA"),
                        System.getenv("CONSUMER_GROUP")));
        tables.executeSql(
                ROWS.formatted(
                        database.getHost(), database.getPort(), database.getPath(), login[0], login[1]));
        tables.executeSql(JOB).await();
    }
}
