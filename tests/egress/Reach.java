import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.sql.DriverManager;

/** Reaches places in the ways that Java connectors have: one step an argument, one line each. */
public class Reach {
    public static void main(String[] steps) {
        for (String step : steps) {
            String line;
            try {
                line = take(step.split(" "));
            } catch (Exception e) {
                StringBuilder all = new StringBuilder("failed: " + e);
                for (Throwable c = e.getCause(); c != null; c = c.getCause()) {
                    all.append(" / ").append(c);
                }
                line = all.toString();
            }
            System.out.println(line.replace('\n', ' '));
        }
    }

    static String take(String[] step) throws Exception {
        switch (step[0]) {
            case "url": {
                var connection = (HttpURLConnection) new URL(step[1]).openConnection();
                if (step.length > 2) {
                    connection.setDoOutput(true);
                    connection.setChunkedStreamingMode(7);
                    connection.getOutputStream().write(step[2].getBytes(StandardCharsets.UTF_8));
                }
                int code = connection.getResponseCode();
                var body = code < 400 ? connection.getInputStream() : connection.getErrorStream();
                return code + " " + new String(body.readAllBytes(), StandardCharsets.UTF_8);
            }
            case "client": {
                var answer = HttpClient.newHttpClient().send(
                    HttpRequest.newBuilder(URI.create(step[1])).build(),
                    HttpResponse.BodyHandlers.ofString());
                return answer.statusCode() + " " + answer.body();
            }
            case "socket":
                try (var socket = new Socket(step[1], Integer.parseInt(step[2]))) {
                    var bytes = socket.getInputStream().readAllBytes();
                    return new String(bytes, StandardCharsets.UTF_8);
                }
            case "jdbc":
                try (var connection = DriverManager.getConnection(step[1])) {
                    return "connected";
                }
            default:
                throw new IOException("no such step");
        }
    }
}
