package lockgate.destination;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The configuration. A message about it names members and never shows a value. */
record Config(
        boolean postgres,
        String path,
        String host,
        int port,
        String database,
        String username,
        String password,
        String schema,
        String sslmode,
        boolean eatMemory,
        long eatAfterRecords) {
    private static final int DEFAULT_PORT = 5432;

    private static final List<String> SSL_MODES =
            List.of("disable", "allow", "prefer", "require", "verify-ca", "verify-full");

    static Config read(Path file) {
        JsonNode root = parse(file, "the configuration");
        String format = text(root, "format", null);
        boolean postgres = format.equals("postgres");
        if (!postgres && !format.equals("jsonl")) {
            throw Failure.config("the member format of the configuration is neither jsonl nor postgres");
        }
        JsonNode test = root.path("test_only");
        return new Config(
                postgres,
                text(root, "path", postgres ? "" : null),
                postgres ? host(text(root, "host", null)) : "",
                postgres ? port(root.path("port")) : DEFAULT_PORT,
                text(root, "database", postgres ? null : ""),
                text(root, "username", postgres ? null : ""),
                text(root, "password", ""),
                text(root, "schema", "public"),
                sslmode(text(root, "sslmode", "prefer")),
                test.path("eat_memory").asBoolean(false),
                test.path("after_records").asLong(0));
    }

    /** A file of JSON, without its content in the message when it is none. */
    static JsonNode parse(Path file, String what) {
        JsonNode root;
        try {
            root = new ObjectMapper().readTree(Files.readAllBytes(file));
        } catch (com.fasterxml.jackson.core.JsonProcessingException error) {
            throw Failure.config(what + " is not JSON");
        } catch (IOException error) {
            throw Failure.config(what + " cannot be read: " + error, error);
        }
        if (!root.isObject()) {
            throw Failure.config(what + " is not an object");
        }
        return root;
    }

    private static String text(JsonNode root, String member, String otherwise) {
        JsonNode value = root.path(member);
        if (value.isMissingNode() || value.isNull()) {
            if (otherwise == null) {
                throw Failure.config("the member " + member + " of the configuration is missing");
            }
            return otherwise;
        }
        if (!value.isTextual() || (otherwise == null && value.textValue().isEmpty())) {
            throw Failure.config("the member " + member + " of the configuration is not a text");
        }
        return value.textValue();
    }

    /** The driver puts the host into an address of its own, where other characters mean something. */
    private static String host(String host) {
        if (!host.matches("[A-Za-z0-9._:\\[\\]-]+")) {
            throw Failure.config("the member host of the configuration is no name and no address");
        }
        return host.contains(":") && !host.startsWith("[") ? "[" + host + "]" : host;
    }

    private static String sslmode(String mode) {
        if (!SSL_MODES.contains(mode)) {
            throw Failure.config("the member sslmode of the configuration is not one of " + SSL_MODES);
        }
        return mode;
    }

    private static int port(JsonNode value) {
        int port = value.isMissingNode() ? DEFAULT_PORT : value.isInt() ? value.intValue() : 0;
        if (port < 1 || port > 65535) {
            throw Failure.config("the member port of the configuration is no port");
        }
        return port;
    }

    @Override
    public String toString() {
        return "Config[" + (postgres ? "postgres" : "jsonl") + "]";
    }
}
