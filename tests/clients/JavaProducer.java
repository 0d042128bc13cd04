import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's own Java client: `java JavaProducer.java BOOTSTRAP TOPIC EVENTS`, as most shops run it. */
public class JavaProducer {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};

    public static void main(String[] arguments) throws Exception {
        int events = Integer.parseInt(arguments[2]);
        int number = 0;
        for (String codec : CODECS) {
            try (KafkaProducer<byte[], byte[]> producer = producer(arguments[0], codec, null)) {
                number = send(producer, arguments[1], number, events);
            }
        }
        try (KafkaProducer<byte[], byte[]> producer = producer(arguments[0], "zstd", "java")) {
            producer.initTransactions();
            producer.beginTransaction();
            number = send(producer, arguments[1], number, events);
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, arguments[1], number, events);
            producer.flush();
            producer.abortTransaction();
        }
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String codec, String transaction) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("compression.type", codec);
        settings.put("linger.ms", 20);
        if (transaction != null) settings.put("transactional.id", transaction);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static int send(KafkaProducer<byte[], byte[]> producer, String topic, int first, int events) {
        for (int number = first; number < first + events; number++) {
            String value = "{\"event_id\":\"e" + number + "\",\"user_id\":\"u\",\"product_id\":\"p\","
                + "\"category\":\"Zürich 🔥\",\"price\":2.5,\"quantity\":1}";
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                topic, number % 4, null, value.getBytes(StandardCharsets.UTF_8));
            record.headers().add("trace", new byte[] {(byte) 0xff, 0, (byte) number});
            record.headers().add("größe", null);
            producer.send(record);
        }
        producer.flush();
        return first + events;
    }
}
