package peers;

import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoField;
import java.time.temporal.TemporalAccessor;

/** The rules for good events, for the peers in Java. */
final class Rules {
    private static final DateTimeFormatter ISO = DateTimeFormatter.ISO_DATE_TIME;

    private Rules() {}

    /** The user, or a guest named after the product; null where there is neither. */
    static String user(String user, String product) {
        return user != null || product == null ? user : "guest_" + product;
    }

    /** The category, or one named after the product's first two characters. */
    static String category(String category, String product) {
        if (category != null || product == null) {
            return category;
        }
        int length = Math.min(2, product.codePointCount(0, product.length()));
        return "category_" + product.substring(0, product.offsetByCodePoints(0, length));
    }

    /** An ISO timestamp as MySQL takes it, in UTC and whole seconds; null where it is none. */
    static String toUtc(String timestamp) {
        if (timestamp == null) {
            return null;
        }
        try {
            TemporalAccessor parsed = ISO.parse(timestamp.replace(' ', 'T'));
            LocalDateTime moment =
                    parsed.isSupported(ChronoField.OFFSET_SECONDS)
                            ? OffsetDateTime.from(parsed)
                                    .withOffsetSameInstant(ZoneOffset.UTC)
                                    .toLocalDateTime()
                            : LocalDateTime.from(parsed);
            return spelled(moment);
        } catch (DateTimeParseException error) {
            return null;
        }
    }

    /** What a formatter would write, in a fraction of its time. */
    private static String spelled(LocalDateTime moment) {
        StringBuilder text = new StringBuilder(19);
        text.append(moment.toLocalDate()).append(' ').append(moment.toLocalTime().withNano(0));
        return moment.getSecond() == 0 ? text.append(":00").toString() : text.toString();
    }
}
