package lockgate.destination;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * One message of the input, read in one pass.
 *
 * <p>Data and states are ranges of the line and are never turned into values: a number that no type
 * of this language holds comes out as it went in.
 */
final class Message {
    /** Names in data are arbitrary: they are not kept for the life of the program. */
    private static final JsonFactory FACTORY =
            new JsonFactoryBuilder().disable(JsonFactory.Feature.INTERN_FIELD_NAMES).build();

    /** A part of the line. */
    static final class Range {
        int from = -1;
        int to = -1;

        boolean isThere() {
            return from >= 0;
        }
    }

    String type = "";

    /** What the message is about; null name: nothing. */
    private String name;

    private String namespace;

    final Range data = new Range();
    boolean hasEmittedAt;
    long emittedAt;

    final Range state = new Range();
    final Range destinationStats = new Range();
    boolean hasSourceStats;

    String status;

    private final int offset;

    private Message(int offset) {
        this.offset = offset;
    }

    Catalog.Descriptor descriptor() {
        return name == null ? null : new Catalog.Descriptor(namespace, name);
    }

    /** Reads a line. Null when it is no message and nothing that a message was made from. */
    static Message read(byte[] line, int from, int to) throws IOException {
        Message message = new Message(from);
        for (int at = from; at < Math.min(from + 4, to); at++) {
            // The parser would take it for UTF-16 or UTF-32, and lose count of the bytes.
            if (line[at] == 0) {
                return null;
            }
        }
        try (JsonParser parser = FACTORY.createParser(line, from, to - from)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new JsonParseException(parser, "it is no object");
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String member = parser.getCurrentName();
                parser.nextToken();
                message.member(member, parser);
            }
            if (parser.nextToken() != null) {
                throw new JsonParseException(parser, "something follows it");
            }
        } catch (JsonParseException error) {
            if (startsAsRecord(line, from, to)) {
                // Not what the parser says: that shows the data.
                throw Failure.system("a line of the input starts as a RECORD and is not valid JSON");
            }
            return null;
        }
        return message;
    }

    private static boolean startsAsRecord(byte[] line, int from, int to) {
        int length = Math.min(to - from, 64);
        String start = new String(line, from, length, StandardCharsets.ISO_8859_1).replaceAll("\\s", "");
        return start.startsWith("{\"type\":\"RECORD\"") || start.startsWith("{\"record\":");
    }

    private void member(String member, JsonParser parser) throws IOException {
        boolean object = parser.currentToken() == JsonToken.START_OBJECT;
        switch (member) {
            case "type" -> type = parser.getValueAsString("");
            case "record" -> each(parser, object, this::record);
            case "state" -> {
                state.from = start(parser);
                each(parser, object, this::state);
                state.to = end(parser);
            }
            case "trace" -> each(parser, object, this::trace);
            default -> parser.skipChildren();
        }
    }

    private void record(String member, JsonParser parser) throws IOException {
        switch (member) {
            case "stream" -> name = parser.getValueAsString();
            case "namespace" -> namespace = parser.getValueAsString();
            case "emitted_at" -> {
                hasEmittedAt = parser.currentToken().isNumeric();
                emittedAt = parser.getValueAsLong();
            }
            case "data" -> {
                if (parser.currentToken() == JsonToken.START_OBJECT) {
                    range(data, parser);
                }
            }
            default -> {}
        }
        parser.skipChildren();
    }

    private void state(String member, JsonParser parser) throws IOException {
        boolean object = parser.currentToken() == JsonToken.START_OBJECT;
        switch (member) {
            case "stream" -> each(parser, object, this::described);
            case "sourceStats" -> {
                hasSourceStats = object;
                parser.skipChildren();
            }
            case "destinationStats" -> range(destinationStats, parser);
            default -> parser.skipChildren();
        }
    }

    private void trace(String member, JsonParser parser) throws IOException {
        boolean object = parser.currentToken() == JsonToken.START_OBJECT;
        if (member.equals("stream_status")) {
            each(parser, object, (inner, at) -> {
                if (inner.equals("status")) {
                    status = at.getValueAsString();
                }
                described(inner, at);
            });
        } else {
            parser.skipChildren();
        }
    }

    private void described(String member, JsonParser parser) throws IOException {
        boolean object = parser.currentToken() == JsonToken.START_OBJECT;
        if (member.equals("stream_descriptor")) {
            each(parser, object, (inner, at) -> {
                if (inner.equals("name")) {
                    name = at.getValueAsString();
                } else if (inner.equals("namespace")) {
                    namespace = at.getValueAsString();
                }
                at.skipChildren();
            });
        } else {
            parser.skipChildren();
        }
    }

    /** What is done with a member, whose value the parser is at, and at the end of which it is left. */
    private interface Member {
        void read(String name, JsonParser parser) throws IOException;
    }

    private static void each(JsonParser parser, boolean object, Member body) throws IOException {
        if (!object) {
            parser.skipChildren();
            return;
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String member = parser.getCurrentName();
            parser.nextToken();
            body.read(member, parser);
        }
    }

    private void range(Range range, JsonParser parser) throws IOException {
        range.from = start(parser);
        parser.skipChildren();
        range.to = end(parser);
    }

    private int start(JsonParser parser) {
        return offset + (int) parser.getTokenLocation().getByteOffset();
    }

    private int end(JsonParser parser) throws IOException {
        // A text is read only when somebody asks for it.
        parser.finishToken();
        return offset + (int) parser.getCurrentLocation().getByteOffset();
    }
}
