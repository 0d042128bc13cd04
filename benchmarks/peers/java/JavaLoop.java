package peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.SynchronousQueue;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A loop by hand: kafka-clients, Jackson, MariaDB's driver. One thread reads, another writes;
 * offsets are committed after the rows.
 *
 * <p>Its argument says how rows are sent: text (INSERTs of many rows) or bulk (MariaDB's protocol).
 */
public class JavaLoop {
    private static final int BATCH = 20_000;
    private static final int ROWS_OF_A_STATEMENT = 2_000;
    private static final long PATIENCE_NANOS = 1_000_000_000;
    private static final String INSERT =
            "INSERT INTO flash_sale_events (event_id, user_id, product_id, category, event_type,"
                    + " price, quantity, revenue, ts) VALUES ";
    private static final JsonFactory JSON = new JsonFactory();

    private record Row(
            String eventId,
            String userId,
            String productId,
            String category,
            String eventType,
            double price,
            int quantity,
            String timestamp) {
        double revenue() {
            return price * quantity;
        }
    }

    /** What one transaction stores, and where to go on after it. */
    private abstract static class Batch {
        final Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();

        abstract void add(Row row);

        abstract void write(Connection database) throws SQLException;
    }

    /** Statements are encoded while the batch before is written. */
    private static class TextBatch extends Batch {
        private final List<StringBuilder> statements = new ArrayList<>();
        private int rows;

        @Override
        void add(Row row) {
            if (rows++ % ROWS_OF_A_STATEMENT == 0) {
                statements.add(new StringBuilder(160 * ROWS_OF_A_STATEMENT).append(INSERT));
            } else {
                last().append(',');
            }
            StringBuilder sql = last().append('(');
            quote(sql, row.eventId).append(',');
            quote(sql, row.userId).append(',');
            quote(sql, row.productId).append(',');
            quote(sql, row.category).append(',');
            quote(sql, row.eventType).append(',');
            sql.append(row.price).append(',').append(row.quantity).append(',');
            sql.append(row.revenue()).append(',');
            quote(sql, row.timestamp).append(')');
        }

        private StringBuilder last() {
            return statements.get(statements.size() - 1);
        }

        @Override
        void write(Connection database) throws SQLException {
            try (Statement statement = database.createStatement()) {
                statement.setEscapeProcessing(false);
                for (StringBuilder sql : statements) {
                    statement.executeUpdate(sql.toString());
                }
            }
        }

        /** With NO_BACKSLASH_ESCAPES only quotes are doubled. */
        private static StringBuilder quote(StringBuilder sql, String text) {
            if (text == null) {
                return sql.append("NULL");
            }
            String escaped = text.indexOf('\'') < 0 ? text : text.replace("'", "''");
            return sql.append('\'').append(escaped).append('\'');
        }
    }

    private static class BulkBatch extends Batch {
        private final List<Row> rows = new ArrayList<>(BATCH);

        @Override
        void add(Row row) {
            rows.add(row);
        }

        @Override
        void write(Connection database) throws SQLException {
            String sql = INSERT + "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
            try (PreparedStatement statement = database.prepareStatement(sql)) {
                for (Row row : rows) {
                    statement.setString(1, row.eventId);
                    statement.setString(2, row.userId);
                    statement.setString(3, row.productId);
                    statement.setString(4, row.category);
                    statement.setString(5, row.eventType);
                    statement.setDouble(6, row.price);
                    statement.setInt(7, row.quantity);
                    statement.setDouble(8, row.revenue());
                    statement.setString(9, row.timestamp);
                    statement.addBatch();
                }
                statement.executeBatch();
            }
        }
    }

    private final boolean bulk;
    private final SynchronousQueue<Batch> batches = new SynchronousQueue<>();
    private final ConcurrentLinkedQueue<Batch> written = new ConcurrentLinkedQueue<>();

    private JavaLoop(boolean bulk) {
        this.bulk = bulk;
    }

    /** Run until killed. */
    public static void main(String[] arguments) throws Exception {
        JavaLoop loop = new JavaLoop(arguments[0].equals("bulk"));
        Thread writer = new Thread(loop::write, "writer");
        writer.setDaemon(true);
        writer.start();
        loop.read();
    }

    /** Only this thread may use the consumer, so it commits what the other has written. */
    private void read() throws IOException, InterruptedException {
        Map<String, Object> settings =
                Map.of(
                        "bootstrap.servers", System.getenv("KAFKA"),
                        "group.id", System.getenv("CONSUMER_GROUP"),
                        "auto.offset.reset", "earliest",
                        "enable.auto.commit", false,
                        "max.poll.records", BATCH,
                        "key.deserializer", ByteArrayDeserializer.class,
                        "value.deserializer", ByteArrayDeserializer.class);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of(System.getenv("TOPIC")));
            while (true) {
                Batch batch = poll(consumer);
                if (!batch.offsets.isEmpty()) {
                    batches.put(batch);
                }
                for (Batch done; (done = written.poll()) != null; ) {
                    consumer.commitAsync(done.offsets, null);
                }
            }
        }
    }

    /** A full batch, or what has come when patience is over. */
    private Batch poll(KafkaConsumer<byte[], byte[]> consumer) throws IOException {
        Batch batch = bulk ? new BulkBatch() : new TextBatch();
        long end = System.nanoTime() + PATIENCE_NANOS;
        for (int count = 0; count < BATCH && System.nanoTime() < end; ) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<byte[], byte[]> record : records) {
                toRow(record.value()).ifPresent(batch::add);
            }
            batch.offsets.putAll(records.nextOffsets());
            count += records.count();
        }
        return batch;
    }

    private void write() {
        try (Connection database = connect()) {
            while (true) {
                Batch batch = batches.take();
                batch.write(database);
                database.commit();
                written.add(batch);
            }
        } catch (SQLException | InterruptedException error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    private Connection connect() throws SQLException {
        URI address = URI.create(System.getenv("DATABASE_URL"));
        String[] login = address.getUserInfo().split(":", 2);
        String url =
                "jdbc:mariadb://%s:%d%s?sslMode=disable&useBulkStmts=%s&sessionVariables=time_zone='+00:00',sql_mode='STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'"
                        .formatted(address.getHost(), address.getPort(), address.getPath(), bulk);
        Connection database = DriverManager.getConnection(url, login[0], login[1]);
        database.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        database.setAutoCommit(false);
        return database;
    }

    /** The row of an event, what is missing or no number filled in; empty where it is dropped. */
    private static Optional<Row> toRow(byte[] value) throws IOException {
        String eventId = null, user = null, product = null, category = null, type = null;
        String timestamp = null;
        double price = 0;
        int quantity = 1;
        try (JsonParser parser = JSON.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                JsonToken token = parser.nextToken();
                if (token == JsonToken.VALUE_NULL) {
                    continue;
                }
                switch (name) {
                    case "event_id" -> eventId = parser.getText();
                    case "user_id" -> user = parser.getText();
                    case "product_id" -> product = parser.getText();
                    case "category" -> category = parser.getText();
                    case "event_type" -> type = parser.getText();
                    case "timestamp" -> timestamp = parser.getText();
                    case "price" -> price = token.isNumeric() ? parser.getDoubleValue() : 0;
                    case "quantity" -> quantity = token.isNumeric() ? parser.getIntValue() : 1;
                    default -> parser.skipChildren();
                }
            }
        }
        user = Rules.user(user, product);
        category = Rules.category(category, product);
        if (eventId == null || user == null || category == null) {
            return Optional.empty();
        }
        return Optional.of(
                new Row(eventId, user, product, category, type, price, quantity, Rules.toUtc(timestamp)));
    }
}
