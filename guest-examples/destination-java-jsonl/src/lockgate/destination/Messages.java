package lockgate.destination;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** What is said on stdout: one message a line. */
final class Messages {
    private final ObjectMapper mapper = new ObjectMapper();
    private final OutputStream out;

    Messages(OutputStream out) {
        this.out = new BufferedOutputStream(out, 1 << 16);
    }

    void spec(String text) throws JsonProcessingException {
        ObjectNode message = message("SPEC");
        message.set("spec", mapper.readTree(text));
        say(message);
    }

    /** The result of a check: null is success. */
    void status(String fault) {
        ObjectNode message = message("CONNECTION_STATUS");
        ObjectNode status = message.putObject("connectionStatus");
        status.put("status", fault == null ? "SUCCEEDED" : "FAILED");
        if (fault != null) {
            status.put("message", fault);
        }
        say(message);
    }

    void log(String level, String text) {
        ObjectNode message = message("LOG");
        message.putObject("log").put("level", level).put("message", text);
        say(message);
    }

    void error(Failure failure) {
        ObjectNode message = message("TRACE");
        ObjectNode trace = message.putObject("trace");
        trace.put("type", "ERROR").put("emitted_at", System.currentTimeMillis());
        ObjectNode error = trace.putObject("error");
        error.put("message", failure.getMessage()).put("failure_type", failure.kind.word);
        if (failure.getCause() != null) {
            error.put("internal_message", failure.getCause().toString());
        }
        say(message);
    }

    /** Echoes states as they came, in their order. */
    void states(List<byte[]> states) {
        try {
            for (byte[] state : states) {
                out.write("{\"type\":\"STATE\",\"state\":".getBytes(StandardCharsets.US_ASCII));
                out.write(state);
                out.write("}\n".getBytes(StandardCharsets.US_ASCII));
            }
            out.flush();
        } catch (IOException error) {
            throw Failure.system("stdout is closed", error);
        }
    }

    private ObjectNode message(String type) {
        return mapper.createObjectNode().put("type", type);
    }

    private void say(JsonNode message) {
        try {
            out.write(mapper.writeValueAsBytes(message));
            out.write('\n');
            out.flush();
        } catch (IOException error) {
            // Nobody listens, so there is nobody to tell.
            System.err.println("stdout is closed: " + error);
        }
    }
}
