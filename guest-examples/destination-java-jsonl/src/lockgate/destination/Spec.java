package lockgate.destination;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** What this destination is and how it is configured: the file spec.json beside the classes. */
final class Spec {
    private Spec() {}

    static String text() throws IOException {
        try (InputStream in = Spec.class.getResourceAsStream("spec.json")) {
            if (in == null) {
                throw Failure.system("spec.json is missing from the program");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
