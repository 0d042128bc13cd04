package peers;

import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.transforms.Transformation;

/** The rules for good events as a transformation of Kafka Connect, which has none for them. */
public class Transform<R extends ConnectRecord<R>> implements Transformation<R> {
    private static final Schema ROW =
            SchemaBuilder.struct()
                    .name("row")
                    .field("event_id", Schema.STRING_SCHEMA)
                    .field("user_id", Schema.STRING_SCHEMA)
                    .field("product_id", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("category", Schema.STRING_SCHEMA)
                    .field("event_type", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("price", Schema.FLOAT32_SCHEMA)
                    .field("quantity", Schema.INT32_SCHEMA)
                    .field("revenue", Schema.FLOAT64_SCHEMA)
                    .field("ts", Schema.OPTIONAL_STRING_SCHEMA)
                    .build();

    @Override
    public R apply(R record) {
        if (!(record.value() instanceof Map<?, ?> event)) {
            return null;
        }
        String product = (String) event.get("product_id");
        String user = Rules.user((String) event.get("user_id"), product);
        String category = Rules.category((String) event.get("category"), product);
        if (event.get("event_id") == null || user == null || category == null) {
            return null;
        }
        float price = event.get("price") instanceof Number number ? number.floatValue() : 0f;
        int quantity = event.get("quantity") instanceof Number number ? number.intValue() : 1;
        Struct row =
                new Struct(ROW)
                        .put("event_id", event.get("event_id"))
                        .put("user_id", user)
                        .put("product_id", product)
                        .put("category", category)
                        .put("event_type", event.get("event_type"))
                        .put("price", price)
                        .put("quantity", quantity)
                        .put("revenue", (double) price * quantity)
                        .put("ts", Rules.toUtc((String) event.get("timestamp")));
        return record.newRecord(
                record.topic(), record.kafkaPartition(), null, null, ROW, row, record.timestamp());
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef();
    }

    @Override
    public void configure(Map<String, ?> settings) {}

    @Override
    public void close() {}
}
